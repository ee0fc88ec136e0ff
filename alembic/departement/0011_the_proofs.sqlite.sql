CREATE TABLE log_key (
  rank INTEGER NOT NULL,
  name TEXT NOT NULL,
  public BLOB NOT NULL,
  sealed BLOB NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_log_key PRIMARY KEY (rank),
  CONSTRAINT ck_log_key_rank_counts CHECK (rank >= 0),
  CONSTRAINT ck_log_key_public_size CHECK (length(public) = 32),
  CONSTRAINT uq_log_key_public UNIQUE (public),
  CONSTRAINT fk_log_key_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE log_key_end (
  rank INTEGER NOT NULL,
  why TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_log_key_end PRIMARY KEY (rank),
  CONSTRAINT ck_log_key_end_why_known CHECK (why IN ('replaced', 'lost', 'exposed', 'moved')),
  CONSTRAINT fk_log_key_end_rank FOREIGN KEY(rank) REFERENCES log_key (rank),
  CONSTRAINT fk_log_key_end_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE witness_policy (
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  CONSTRAINT pk_witness_policy PRIMARY KEY (version),
  CONSTRAINT ck_witness_policy_version_counts CHECK (version > 0),
  CONSTRAINT fk_witness_policy_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
)
 STRICT;

CREATE TABLE published (
  tree_size INTEGER NOT NULL,
  note TEXT NOT NULL,
  made_at TEXT NOT NULL,
  CONSTRAINT pk_published PRIMARY KEY (tree_size),
  CONSTRAINT fk_published_tree_size FOREIGN KEY(tree_size) REFERENCES checkpoint (tree_size)
)
 STRICT;

CREATE TABLE cosignature (
  tree_size INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  line TEXT NOT NULL,
  CONSTRAINT pk_cosignature PRIMARY KEY (tree_size, key_id),
  CONSTRAINT fk_cosignature_tree_size FOREIGN KEY(tree_size) REFERENCES published (tree_size)
)
 STRICT;
