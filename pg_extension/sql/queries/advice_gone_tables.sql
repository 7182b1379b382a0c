-- Forgets what is proposed or suppressed for a table that is gone: nobody can build it any more. What was there with its table stays, as
-- reverted.
DELETE FROM pitcrew.advice a
WHERE a.state IN ('proposed', 'suppressed') AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = a.relation)
