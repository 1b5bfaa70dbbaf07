-- Trains one backbone and notes the figures.  Variables: backbone, size, features,
-- width, rows, epochs, round.  With no row to validate on, all epochs are run.
SELECT format('(SELECT * FROM bench.%I WHERE n <= %s)', :'size', :'rows') AS source,
	   (SELECT array_agg('f' || f ORDER BY f) FROM generate_series(1, :features) AS f) AS columns,
	   jsonb_build_object('method', 'backbone', 'backbone', :'backbone', 'epochs', :epochs, 'validation', 0, 'l2', 0,
						  'embedding_dim', :width, 'hidden', jsonb_build_array(256, 128, 64), 'dropout', 0.5,
						  'batch_size', 1024, 'learning_rate', 0.001, 'workers', 0) AS options
\gset
SELECT clock_timestamp() AS start, bench.cpu_seconds() AS cpu_start
\gset
SELECT rows_per_second AS phase_rate
FROM moemlora_train('bench', :'source', 'clicked', 'domain', :'columns', :'options')
\gset
SELECT extract(epoch FROM clock_timestamp() - :'start') AS seconds, bench.cpu_seconds() - :'cpu_start' AS cpu_seconds
\gset
INSERT INTO bench.run
SELECT :'backbone', :'size', :round, what, :rows, rate, rate * :seconds / :'cpu_seconds'
FROM (VALUES ('train, phase', :phase_rate), ('train, call', :rows * :epochs / :seconds)) AS noted (what, rate);
