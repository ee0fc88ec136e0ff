CREATE TABLE account (
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  book TEXT NOT NULL,
  party TEXT,
  CONSTRAINT pk_account PRIMARY KEY (id),
  CONSTRAINT ck_account_name_tells CHECK (name = kind || '/' || book || COALESCE('/' || party, '')),
  CONSTRAINT uq_account_name UNIQUE (name)
)
 STRICT;

CREATE INDEX ix_account_book ON account (book);

CREATE TABLE attempt (
  id TEXT NOT NULL,
  act TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  device TEXT NOT NULL,
  shown TEXT,
  received_at TEXT NOT NULL,
  CONSTRAINT pk_attempt PRIMARY KEY (id),
  CONSTRAINT ck_attempt_hash_size CHECK (length(request_hash) = 32)
)
 STRICT;

CREATE TABLE checkpoint (
  tree_size INTEGER NOT NULL,
  root BLOB NOT NULL,
  made_at TEXT NOT NULL,
  CONSTRAINT pk_checkpoint PRIMARY KEY (tree_size),
  CONSTRAINT ck_checkpoint_root_size CHECK (length(root) = 32)
)
 STRICT;

CREATE TABLE log_leaf (
  idx INTEGER NOT NULL,
  entry_id TEXT NOT NULL,
  leaf_hash BLOB NOT NULL,
  CONSTRAINT pk_log_leaf PRIMARY KEY (idx),
  CONSTRAINT ck_log_leaf_idx_counts CHECK (idx >= 0),
  CONSTRAINT ck_log_leaf_leaf_size CHECK (length(leaf_hash) = 32),
  CONSTRAINT uq_log_leaf_entry_id UNIQUE (entry_id)
)
 STRICT;

CREATE TABLE log_state (
  id INTEGER NOT NULL,
  size INTEGER NOT NULL,
  frontier BLOB NOT NULL,
  CONSTRAINT pk_log_state PRIMARY KEY (id),
  CONSTRAINT ck_log_state_only_one CHECK (id = 1),
  CONSTRAINT ck_log_state_size_counts CHECK (size >= 0)
)
 STRICT;

CREATE TABLE log_tile (
  level INTEGER NOT NULL,
  n INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  root BLOB NOT NULL,
  CONSTRAINT pk_log_tile PRIMARY KEY (level, n),
  CONSTRAINT ck_log_tile_place_counts CHECK (level >= 0 AND n >= 0),
  CONSTRAINT ck_log_tile_tile_is_full CHECK (length(hashes) = 8192),
  CONSTRAINT ck_log_tile_root_size CHECK (length(root) = 32)
)
 STRICT;

CREATE TABLE pending (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  entry_id TEXT NOT NULL,
  CONSTRAINT uq_pending_entry_id UNIQUE (entry_id)
)
 STRICT;

CREATE TABLE balance (
  account_id INTEGER NOT NULL,
  debits INTEGER NOT NULL,
  credits INTEGER NOT NULL,
  upto_idx INTEGER NOT NULL,
  CONSTRAINT pk_balance PRIMARY KEY (account_id),
  CONSTRAINT ck_balance_sides_count CHECK (debits >= 0 AND credits >= 0),
  CONSTRAINT fk_balance_account_id FOREIGN KEY(account_id) REFERENCES account (id)
)
 STRICT;

CREATE TABLE entry (
  id TEXT NOT NULL,
  act_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  occurred_at TEXT NOT NULL,
  occurred_on TEXT NOT NULL,
  recorded_at TEXT NOT NULL,
  actor TEXT NOT NULL,
  debit_id INTEGER,
  credit_id INTEGER,
  amount_cents INTEGER NOT NULL,
  uses TEXT,
  subject TEXT,
  turn INTEGER,
  needs TEXT GENERATED ALWAYS AS (CASE WHEN uses = 'undo' THEN 'spend' WHEN uses = 'spend' AND turn > 0 THEN 'undo' WHEN uses = 'revive' THEN 'lapse' WHEN uses = 'lapse' AND turn > 0 THEN 'revive' END) STORED,
  needs_turn INTEGER GENERATED ALWAYS AS (CASE WHEN uses = 'undo' THEN turn WHEN uses = 'spend' AND turn > 0 THEN turn - 1 WHEN uses = 'revive' THEN turn - 1 WHEN uses = 'lapse' AND turn > 0 THEN turn END) STORED,
  body BLOB NOT NULL,
  body_version INTEGER NOT NULL,
  leaf_hash BLOB NOT NULL,
  CONSTRAINT pk_entry PRIMARY KEY (id),
  CONSTRAINT uq_entry_right UNIQUE (uses, subject, turn),
  CONSTRAINT fk_entry_needs FOREIGN KEY(needs, subject, needs_turn) REFERENCES entry (uses, subject, turn),
  CONSTRAINT ck_entry_right_is_whole CHECK ((uses IS NULL AND subject IS NULL AND turn IS NULL) OR (uses IS NOT NULL AND subject IS NOT NULL AND turn IS NOT NULL)),
  CONSTRAINT ck_entry_turn_counts CHECK (turn >= 0),
  CONSTRAINT ck_entry_money_has_two_sides CHECK ((amount_cents = 0 AND debit_id IS NULL AND credit_id IS NULL) OR (amount_cents > 0 AND debit_id IS NOT NULL AND credit_id IS NOT NULL AND debit_id <> credit_id)),
  CONSTRAINT ck_entry_leaf_size CHECK (length(leaf_hash) = 32),
  CONSTRAINT fk_entry_act_id FOREIGN KEY(act_id) REFERENCES attempt (id),
  CONSTRAINT fk_entry_debit_id FOREIGN KEY(debit_id) REFERENCES account (id),
  CONSTRAINT fk_entry_credit_id FOREIGN KEY(credit_id) REFERENCES account (id)
)
 STRICT;

CREATE TABLE gate (
  "key" TEXT NOT NULL,
  generation INTEGER NOT NULL,
  closed_by TEXT,
  CONSTRAINT pk_gate PRIMARY KEY ("key"),
  CONSTRAINT ck_gate_generation_counts CHECK (generation >= 0),
  CONSTRAINT fk_gate_closed_by FOREIGN KEY(closed_by) REFERENCES attempt (id)
)
 STRICT;

CREATE TABLE refusal (
  id TEXT NOT NULL,
  code TEXT NOT NULL,
  facts TEXT NOT NULL,
  CONSTRAINT pk_refusal PRIMARY KEY (id),
  CONSTRAINT fk_refusal_id FOREIGN KEY(id) REFERENCES attempt (id)
)
 STRICT;
