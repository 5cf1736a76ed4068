"""How many photos of each label an image set had: what the classes among a unit's examples are compared with.

The store keeps a copy of those photos only that some example shows. What the scan has seen besides stands in `meta`,
under the image set's content hash; stores made before that was kept fall back on the photos they have.
"""

import json
import sqlite3

from retinoscope.base.classes import Census
from retinoscope.store.records import MetaRecord


def census_record(images: str, census: Census) -> MetaRecord:
    """The record that keeps an image set's census."""
    return MetaRecord(f"photos {images}", json.dumps({"photos": census.photos, "labels": dict(census.labels)}))


def read(db: sqlite3.Connection, network: str, images: str | None) -> Census:
    """The census of an image set; where there is none, of the stored photos that the network's examples show."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (f"photos {images}",)).fetchone()
    if row is not None:
        return Census(**json.loads(row[0]))
    # The index on (network, photo) answers this without a look at the examples themselves.
    query = "SELECT label FROM photo WHERE EXISTS (SELECT 1 FROM example WHERE network = ? AND photo = photo.id)"
    labels = [label for (label,) in db.execute(query, (network,))]
    counts: dict[str, int] = {}
    for label in labels:
        if label is not None:
            counts[label] = counts.get(label, 0) + 1
    return Census(len(labels), counts, complete=False)
