CREATE TABLE work (
  id UUID NOT NULL,
  kind TEXT NOT NULL,
  request TEXT NOT NULL,
  hash BYTEA NOT NULL,
  input BYTEA,
  asked_by TEXT NOT NULL,
  asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
  total BIGINT NOT NULL,
  done BIGINT NOT NULL,
  holder UUID,
  held_until TIMESTAMP WITH TIME ZONE,
  tries BIGINT NOT NULL,
  finished_at TIMESTAMP WITH TIME ZONE,
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
);

CREATE INDEX ix_work_open ON work (asked_at) WHERE finished_at IS NULL;

CREATE TABLE work_result (
  work UUID NOT NULL,
  number BIGINT NOT NULL,
  body TEXT NOT NULL,
  CONSTRAINT pk_work_result PRIMARY KEY (work, number),
  CONSTRAINT fk_work_result_work FOREIGN KEY(work) REFERENCES work (id)
);
