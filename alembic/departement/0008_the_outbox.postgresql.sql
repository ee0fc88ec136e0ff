CREATE TABLE outbox (
  id UUID NOT NULL,
  person UUID NOT NULL,
  template TEXT NOT NULL,
  facts TEXT NOT NULL,
  sealed BYTEA,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  due_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
  claimed_at TIMESTAMP WITH TIME ZONE,
  sent_at TIMESTAMP WITH TIME ZONE,
  stopped_at TIMESTAMP WITH TIME ZONE,
  attempts BIGINT NOT NULL,
  last_error TEXT,
  last_reply BIGINT,
  CONSTRAINT pk_outbox PRIMARY KEY (id),
  CONSTRAINT ck_outbox_closed_once CHECK (sent_at IS NULL OR stopped_at IS NULL),
  CONSTRAINT ck_outbox_claimed_first CHECK (sent_at IS NULL OR (claimed_at IS NOT NULL AND attempts > 0)),
  CONSTRAINT ck_outbox_secret_is_gone CHECK (sealed IS NULL OR (sent_at IS NULL AND stopped_at IS NULL)),
  CONSTRAINT ck_outbox_stopped_for_cause CHECK (stopped_at IS NULL OR last_error IS NOT NULL),
  CONSTRAINT fk_outbox_person FOREIGN KEY(person) REFERENCES person (id)
);

CREATE INDEX ix_outbox_open ON outbox (due_at) WHERE sent_at IS NULL AND stopped_at IS NULL;

CREATE INDEX ix_outbox_person ON outbox (person);
