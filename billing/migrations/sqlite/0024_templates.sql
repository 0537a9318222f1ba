-- Templates of notices (facts::template): parts as a JSON list; a language of NULL is that of whoever asks.
CREATE TABLE templates (
  merchant_id BIGINT NOT NULL,
  id          TEXT   NOT NULL,
  language    TEXT,
  parts       TEXT   NOT NULL,
  keys        BIGINT NOT NULL DEFAULT 1,
  managed     BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT templates_once PRIMARY KEY (merchant_id, id)
);
