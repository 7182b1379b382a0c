SELECT * FROM pitcrew.report() WHERE severity IN ('critical', 'warn') LIMIT 50
