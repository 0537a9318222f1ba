-- The octets of companies' sounds, apart from their names and in pieces: whoever writes beside it waits for a piece and never for a whole
-- sound, and what no name leads to any more is there for a while. `wanted`: when it was last sent in, or lost a name.
CREATE TABLE sound_octets (
  company TEXT   NOT NULL,
  sum     TEXT   NOT NULL,
  length  BIGINT NOT NULL,
  wanted  BIGINT NOT NULL,
  PRIMARY KEY (company, sum)
);
CREATE INDEX sound_octets_wanted ON sound_octets (wanted);

CREATE TABLE sound_pieces (
  company TEXT   NOT NULL,
  sum     TEXT   NOT NULL,
  piece   BIGINT NOT NULL,
  octets  BLOB   NOT NULL,
  PRIMARY KEY (company, sum, piece),
  FOREIGN KEY (company, sum) REFERENCES sound_octets (company, sum) ON DELETE CASCADE
);

INSERT INTO sound_octets (company, sum, length, wanted)
  SELECT company, sum, MAX(length), MAX(uploaded) FROM company_sounds GROUP BY company, sum;
INSERT INTO sound_pieces (company, sum, piece, octets)
  SELECT company, sum, 0, octets FROM company_sounds s WHERE name =
    (SELECT MIN(o.name) FROM company_sounds o WHERE o.company = s.company AND o.sum = s.sum);
ALTER TABLE company_sounds DROP COLUMN octets;
