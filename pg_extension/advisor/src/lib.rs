//! pg_pitcrew_advisor
