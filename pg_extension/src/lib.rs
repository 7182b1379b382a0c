//! pg_pitcrew
