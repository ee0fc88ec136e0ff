CREATE TABLE log_key (
  rank BIGINT NOT NULL,
  name TEXT NOT NULL,
  public BYTEA NOT NULL,
  sealed BYTEA NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_log_key PRIMARY KEY (rank),
  CONSTRAINT ck_log_key_rank_counts CHECK (rank >= 0),
  CONSTRAINT ck_log_key_public_size CHECK (length(public) = 32),
  CONSTRAINT uq_log_key_public UNIQUE (public),
  CONSTRAINT fk_log_key_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE log_key_end (
  rank BIGINT NOT NULL,
  why TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_log_key_end PRIMARY KEY (rank),
  CONSTRAINT ck_log_key_end_why_known CHECK (why IN ('replaced', 'lost', 'exposed', 'moved')),
  CONSTRAINT fk_log_key_end_rank FOREIGN KEY(rank) REFERENCES log_key (rank),
  CONSTRAINT fk_log_key_end_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE witness_policy (
  version BIGINT NOT NULL,
  text TEXT NOT NULL,
  entry_id UUID NOT NULL,
  CONSTRAINT pk_witness_policy PRIMARY KEY (version),
  CONSTRAINT ck_witness_policy_version_counts CHECK (version > 0),
  CONSTRAINT fk_witness_policy_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);

CREATE TABLE published (
  tree_size BIGINT NOT NULL,
  note TEXT NOT NULL,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_published PRIMARY KEY (tree_size),
  CONSTRAINT fk_published_tree_size FOREIGN KEY(tree_size) REFERENCES checkpoint (tree_size)
);

CREATE TABLE cosignature (
  tree_size BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  line TEXT NOT NULL,
  CONSTRAINT pk_cosignature PRIMARY KEY (tree_size, key_id),
  CONSTRAINT fk_cosignature_tree_size FOREIGN KEY(tree_size) REFERENCES published (tree_size)
);
