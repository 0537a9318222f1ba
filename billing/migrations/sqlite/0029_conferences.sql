-- Conferences by their numbers: those under way, those that are booked, and what became of those that were.

-- `number`: what whoever asked for it calls it; of those that are not over no two have the same. `call_id`: since it
-- was begun. `start_at`, `command`: of a booked one when it is to begin, and what is asked for then. `state`: booked,
-- live, over; missed (nobody could begin it in time), refused (it might not be begun).
CREATE TABLE conferences (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  number      TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL,
  dialect     TEXT   NOT NULL,
  app         TEXT   NOT NULL,
  state       TEXT   NOT NULL
    CONSTRAINT conferences_state CHECK (state IN ('booked', 'live', 'over', 'missed', 'refused')),
  call_id     BIGINT,
  start_at    BIGINT,
  command     TEXT,
  created     BIGINT NOT NULL,
  ended       BIGINT
);
CREATE UNIQUE INDEX conferences_open ON conferences (number) WHERE ended IS NULL;
CREATE INDEX conferences_due ON conferences (start_at) WHERE state = 'booked';
CREATE INDEX conferences_by_app ON conferences (dialect, app, number, id);
CREATE INDEX conferences_by_call ON conferences (call_id) WHERE call_id IS NOT NULL;
