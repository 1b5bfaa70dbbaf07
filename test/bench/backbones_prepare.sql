-- What backbones.sh notes its figures in.
\ir schema.sql

-- One figure: rows a second, by the clock and by the CPU time of the one process
-- that did the work (NaN where the system does not tell).  Round 0 is a trial.
CREATE TABLE bench.run (
	backbone text, size text, round int, what text, rows bigint, rate float8, cpu_rate float8,
	CHECK (what IN ('train, phase', 'train, call', 'train, PyTorch', 'score', 'score, PyTorch')));

-- In which form PyTorch was measured.
CREATE TABLE bench.form (backbone text, size text, form jsonb);
