-- The list of calls of our own surface, whatever they were for.
CREATE INDEX records_of_rest ON records (app, id) WHERE dialect = 'rest' AND app <> '';
