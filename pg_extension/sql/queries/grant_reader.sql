GRANT USAGE ON SCHEMA pitcrew TO {role};
GRANT SELECT ON pitcrew.jobs TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.version() TO {role};
GRANT EXECUTE ON FUNCTION pitcrew.status() TO {role};
