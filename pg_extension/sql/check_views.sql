-- A view a check, for whoever wants one of them in a dashboard or a psql prompt: pitcrew.check_unused_index and so on.
DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT k.name, k.title FROM pitcrew.checks() k LOOP
        EXECUTE format('CREATE VIEW pitcrew.%I AS SELECT * FROM pitcrew."check"(%L)', 'check_' || c.name, c.name);
        EXECUTE format('COMMENT ON VIEW pitcrew.%I IS %L', 'check_' || c.name, c.title || ', with the default thresholds.');
    END LOOP;
END $$;
