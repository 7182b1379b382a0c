-- title: checkpoints since the counters began, by what asked for them
SELECT b.checkpoints_req AS requested, b.checkpoints_timed + b.checkpoints_req AS whole FROM pg_stat_bgwriter b
-- from version 17
SELECT c.num_requested AS requested, c.num_timed + c.num_requested AS whole FROM pg_stat_checkpointer c
