"""The mean spectrum of photos, for pictures of fixed magnitude: `python examples/mean_spectrum.py [FOLDER]`.

Writes photo_spectrum.npy, by default from the sample photos: the file that ships as the default. Seconds on two cores.
"""

import sys
from pathlib import Path

import numpy as np

import retinoscope as rs
from retinoscope.data.files import sample_photos


def main(folder: Path) -> None:
    """Average the spectrum over tiles of each photo, and print how it falls."""
    photos = rs.ImageSet(folder, cut=rs.cuts.tiles(scales=(1.0, 0.6), overlap=0.0))
    magnitudes = rs.mean_spectrum(images for _, images in photos.batches((128, 128)))
    np.save("photo_spectrum.npy", magnitudes.numpy().astype(np.float16))
    for cycles in (1, 2, 4, 8, 16, 32, 64):
        print(f"{cycles:3d} / 128 cycles per pixel, horizontally: {magnitudes[:, 0, cycles].tolist()}")
    print(f"{len(photos)} tiles of {len(photos.photos)} photos: wrote photo_spectrum.npy")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else sample_photos())
