-- The store: one SQLite file beside folders of image files. Every row of a result names its provenance.
-- Pictures lie under pictures/, stored copies of photos under photos/; paths here are relative to the store's folder.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE network (
  name TEXT PRIMARY KEY,
  weights_hash TEXT NOT NULL,
  input_height INTEGER NOT NULL,
  input_width INTEGER NOT NULL,
  labels TEXT NOT NULL              -- JSON list of class names in logit order
) WITHOUT ROWID;

CREATE TABLE layer (
  network TEXT NOT NULL REFERENCES network (name),
  name TEXT NOT NULL,
  place INTEGER NOT NULL,           -- call order
  kind TEXT NOT NULL,
  channels INTEGER NOT NULL,
  height INTEGER NOT NULL,          -- of the map at the network's input size
  width INTEGER NOT NULL,
  stride_y REAL, stride_x REAL,     -- NULL when a position sees the whole image
  field_y INTEGER NOT NULL, field_x INTEGER NOT NULL,
  depth REAL NOT NULL,
  PRIMARY KEY (network, name)
) WITHOUT ROWID;

CREATE TABLE provenance (
  id TEXT PRIMARY KEY,              -- hash of the body
  body TEXT NOT NULL                -- JSON: code version, recipe, seed, weights hash, image set, device, precision
) WITHOUT ROWID;

CREATE TABLE photo (
  id TEXT PRIMARY KEY,              -- ImageSet's photo id: the relative path
  file TEXT NOT NULL,               -- the stored copy
  height INTEGER NOT NULL,          -- of the original, upright; example boxes are in these pixels
  width INTEGER NOT NULL,
  label TEXT,
  credit TEXT                       -- author and licence, where the folder has an ATTRIBUTION.csv
) WITHOUT ROWID;
CREATE INDEX photo_by_file ON photo (file);

CREATE TABLE picture (
  network TEXT NOT NULL, layer TEXT NOT NULL, channel INTEGER NOT NULL,
  kind TEXT NOT NULL,               -- 'optimised', 'negative' (of the least answer), 'facet 1', 'facet 2' ...
  file TEXT NOT NULL,
  height INTEGER NOT NULL, width INTEGER NOT NULL,
  score REAL NOT NULL,              -- the unit's mean activation over the picture (a class: its logit)
  provenance TEXT NOT NULL REFERENCES provenance (id),
  peak REAL,                        -- its largest activation at any position; of a negative picture the smallest
  PRIMARY KEY (network, layer, channel, kind)
) WITHOUT ROWID;
CREATE INDEX picture_by_file ON picture (file);   -- the explorer asks it before it sends a file

CREATE TABLE example (
  network TEXT NOT NULL, layer TEXT NOT NULL, channel INTEGER NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('top', 'slightly positive', 'slightly negative', 'bottom')),
  place INTEGER NOT NULL,           -- 1 is the strongest of its side; of a slight side, the nearest to a quarter sigma
  photo TEXT NOT NULL REFERENCES photo (id),
  item TEXT NOT NULL,               -- ImageSet's item id (a tile of the photo)
  score REAL NOT NULL,
  y INTEGER NOT NULL, x INTEGER NOT NULL,          -- position on the map
  box_top REAL NOT NULL, box_left REAL NOT NULL, box_bottom REAL NOT NULL, box_right REAL NOT NULL,
  provenance TEXT NOT NULL REFERENCES provenance (id),
  PRIMARY KEY (network, layer, channel, side, place)
) WITHOUT ROWID;
CREATE INDEX example_by_photo ON example (network, photo);

-- What comes back to the pixels from a unit's top examples, by a backward rule.
CREATE TABLE backward (
  network TEXT NOT NULL, layer TEXT NOT NULL, channel INTEGER NOT NULL,
  rule TEXT NOT NULL,               -- 'guided', 'deconvnet', 'gradient'
  place INTEGER NOT NULL,           -- the top example's
  file TEXT NOT NULL,               -- holds the pictures of all places; zero is mid grey
  height INTEGER NOT NULL, width INTEGER NOT NULL,  -- of the file
  cell_top REAL NOT NULL, cell_left REAL NOT NULL, cell_bottom REAL NOT NULL, cell_right REAL NOT NULL,
                                    -- where in the file lies what covers the example's box
  peak REAL NOT NULL,               -- the largest magnitude, which full contrast stands for: activation per unit of sRGB
  provenance TEXT NOT NULL REFERENCES provenance (id),
  PRIMARY KEY (network, layer, channel, rule, place)
) WITHOUT ROWID;
CREATE INDEX backward_by_file ON backward (file);

CREATE TABLE histogram (
  network TEXT NOT NULL, layer TEXT NOT NULL, channel INTEGER NOT NULL,
  edges TEXT NOT NULL,              -- JSON list, ascending, one more than counts
  counts TEXT NOT NULL,             -- JSON list: activations per bin, over all positions of all items
  quantiles TEXT NOT NULL,          -- JSON object: "0.01" .. "0.999" -> activation
  minimum REAL NOT NULL, maximum REAL NOT NULL, mean REAL NOT NULL,
  provenance TEXT NOT NULL REFERENCES provenance (id),
  PRIMARY KEY (network, layer, channel)
) WITHOUT ROWID;

-- The stages of a network: runs of layers that share their channels along identity shortcuts, and what is inside their
-- blocks.
CREATE TABLE stage (
  network TEXT NOT NULL,
  name TEXT NOT NULL,               -- of the stage
  place INTEGER NOT NULL,           -- call order inside the stage
  layer TEXT NOT NULL,
  letter TEXT NOT NULL,             -- of the block: 'a', 'b', 'c' ...
  role TEXT NOT NULL,               -- 'trunk' (the channels after the block), 'branch' (what it adds to them, channel by
                                    -- channel), 'shortcut', or what a layer inside does: 'reduce', 'spatial', 'expand' ...
  PRIMARY KEY (network, name, place)
) WITHOUT ROWID;
CREATE INDEX stage_by_layer ON stage (network, layer);

-- How units of two layers go together: the same channel of a stage's next layer, and best matches of neighbours.
CREATE TABLE step (
  network TEXT NOT NULL,
  before TEXT NOT NULL,             -- the earlier layer
  channel INTEGER NOT NULL,
  after TEXT NOT NULL,              -- the later layer
  other INTEGER NOT NULL,           -- its channel
  kind TEXT NOT NULL CHECK (kind IN ('same', 'match')),   -- an identity shortcut joins the channels, or examples do
  shared INTEGER NOT NULL,          -- examples in common, of the provenance's k
  rank REAL NOT NULL,               -- Spearman's correlation of their answers over all photos
  p_on REAL NOT NULL,               -- how rarely chance gives the earlier unit as many in the later layer: of 'same' the
                                    -- share of its live channels, of 'match' that of shuffles, in which the best counts
  p_from REAL NOT NULL,             -- and the later unit in the earlier layer
  provenance TEXT NOT NULL REFERENCES provenance (id),
  PRIMARY KEY (network, before, channel, after, other)
) WITHOUT ROWID;
CREATE INDEX step_by_after ON step (network, after, other);

-- What the atlas has finished: a task's key is the hash of its description; its records were committed with it.
CREATE TABLE task (key TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;

-- What each task's results are: two tasks that own the same place (say, the pictures of channels 0-31 of a layer, by
-- different settings) replace each other, and the older one counts as not done.
CREATE TABLE place (
  network TEXT NOT NULL, name TEXT NOT NULL,
  task TEXT NOT NULL REFERENCES task (key) ON DELETE CASCADE,
  PRIMARY KEY (network, name)
) WITHOUT ROWID;
CREATE INDEX place_by_task ON place (task);

-- Why a unit has no picture, in words.
CREATE TABLE note (
  network TEXT NOT NULL, layer TEXT NOT NULL, channel INTEGER NOT NULL,
  kind TEXT NOT NULL,               -- the kind of picture that is missing
  text TEXT NOT NULL,
  provenance TEXT NOT NULL REFERENCES provenance (id),
  PRIMARY KEY (network, layer, channel, kind)
) WITHOUT ROWID;
