CREATE TABLE work (
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  request TEXT NOT NULL,
  hash BLOB NOT NULL,
  input BLOB,
  asked_by TEXT NOT NULL,
  asked_at TEXT NOT NULL,
  total INTEGER NOT NULL,
  done INTEGER NOT NULL,
  holder TEXT,
  held_until TEXT,
  tries INTEGER NOT NULL,
  finished_at TEXT,
  refused TEXT,
  outcome TEXT,
  CONSTRAINT pk_work PRIMARY KEY (id),
  CONSTRAINT ck_work_digest_size CHECK (length(hash) = 32),
  CONSTRAINT ck_work_input_bounded CHECK (length(input) <= 2000000),
  CONSTRAINT ck_work_done_of_total CHECK (done >= 0 AND done <= total),
  CONSTRAINT ck_work_held_until_when CHECK ((holder IS NULL) = (held_until IS NULL)),
  CONSTRAINT ck_work_ends_with_outcome CHECK ((finished_at IS NULL) = (outcome IS NULL)),
  CONSTRAINT ck_work_end_lets_go CHECK (finished_at IS NULL OR (input IS NULL AND holder IS NULL)),
  CONSTRAINT ck_work_stopped_for_cause CHECK (finished_at IS NULL OR done = total OR refused IS NOT NULL)
)
 STRICT;

CREATE INDEX ix_work_open ON work (asked_at) WHERE finished_at IS NULL;

CREATE TABLE work_result (
  work TEXT NOT NULL,
  number INTEGER NOT NULL,
  body TEXT NOT NULL,
  CONSTRAINT pk_work_result PRIMARY KEY (work, number),
  CONSTRAINT fk_work_result_work FOREIGN KEY(work) REFERENCES work (id)
)
 STRICT;
