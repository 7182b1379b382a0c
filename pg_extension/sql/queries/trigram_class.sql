-- pg_trgm's operator class for GIN, where that extension is installed: its name as SQL, and its family.
SELECT quote_ident(n.nspname) || '.' || quote_ident(o.opcname), o.opcfamily
FROM pg_extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_opclass'::regclass
JOIN pg_opclass o ON o.oid = d.objid
JOIN pg_namespace n ON n.oid = o.opcnamespace
WHERE e.extname = 'pg_trgm' AND o.opcname = 'gin_trgm_ops'
