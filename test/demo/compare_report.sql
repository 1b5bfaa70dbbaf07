-- What comes of the runs in movielens.result: mean test WAUC +- standard deviation
-- over the seeds, by backbone and method.  Variable: domain.
\pset footer off
\pset null -
\echo
\echo 'Test WAUC of the served mode by' :domain '- mean and standard deviation over the seeds:'
\echo
SELECT backbone,
	   max(seeds) AS seeds,
	   max(cell) FILTER (WHERE method = 'backbone') AS "method backbone",
	   max(cell) FILTER (WHERE method = 'mlora') AS mlora,
	   max(cell) FILTER (WHERE method = 'moe_mlora') AS moe_mlora,
	   -- the same seed splits and trains alike: compared pairwise
	   max(gain) FILTER (WHERE method = 'moe_mlora') AS "moe_mlora - backbone",
	   round(sum(seconds)::numeric) AS seconds
FROM (
	SELECT r.backbone, r.method, count(*) AS seeds, sum(r.seconds) AS seconds,
		   format('%s ± %s', round(avg(r.wauc)::numeric, 4), round(stddev_samp(r.wauc)::numeric, 4)) AS cell,
		   format('%s ± %s', to_char(avg(r.wauc - b.wauc), 'FMS0.0000'), round(stddev_samp(r.wauc - b.wauc)::numeric, 4)) AS gain
	FROM movielens.result AS r
	LEFT JOIN movielens.result AS b ON (b.domain, b.backbone, b.seed, b.method) = (r.domain, r.backbone, r.seed, 'backbone')
	WHERE r.domain = :'domain'
	GROUP BY r.backbone, r.method) AS of_method
GROUP BY backbone
ORDER BY array_position('{mlp,wdl,deepfm,nfm,pnn,dcn,autoint,xdeepfm,fibinet}', backbone);
