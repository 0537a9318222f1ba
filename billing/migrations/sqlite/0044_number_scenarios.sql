-- Scenarios that answer whoever calls a number of a merchant's.

-- `scenario`: what the merchant wrote and what it was resolved to, as its surface keeps it; empty: it was taken back. The
-- number may have become another merchant's since. `revision`: of the row's last change; processes read those they have
-- not seen yet.
CREATE TABLE number_scenarios (
  number      TEXT   NOT NULL PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  scenario    TEXT   NOT NULL,
  changed     BIGINT NOT NULL,
  revision    BIGINT NOT NULL
);
CREATE UNIQUE INDEX number_scenarios_by_revision ON number_scenarios (revision);
CREATE INDEX number_scenarios_by_merchant ON number_scenarios (merchant_id);
CREATE INDEX number_scenarios_gone ON number_scenarios (changed) WHERE scenario = '';

-- Whoever changes a scenario takes the next revision and keeps the row until it commits: revisions are seen in order.
CREATE TABLE number_scenarios_clock (
  only_row BIGINT NOT NULL PRIMARY KEY CONSTRAINT number_scenarios_clock_one CHECK (only_row = 1),
  revision BIGINT NOT NULL
);
INSERT INTO number_scenarios_clock (only_row, revision) VALUES (1, 0);
