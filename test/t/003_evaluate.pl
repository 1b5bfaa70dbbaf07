# moemlora_evaluate() gives the figures that plain SQL gives for the scores of
# moemlora_predict(), ties included; moemlora_auc() is the AUC by ranks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('evaluate');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS SELECT * FROM clicks(12000, 4, 0.5, 5);
	CREATE VIEW fit AS SELECT user_id, item_id, price, place, clicked FROM shown WHERE id <= 8000;
	CREATE VIEW fresh AS SELECT * FROM shown WHERE id > 8000;
});

# AUC by ranks without any function of ours, per place and over all.
my $by_ranks = q{
	SELECT place, (sum(rank) FILTER (WHERE clicked) - positives * (positives + 1) / 2.0)
				  / (positives * (n - positives)) AS auc
	FROM (SELECT place, clicked, count(*) OVER same_place AS n,
				 count(*) FILTER (WHERE clicked) OVER same_place AS positives,
				 rank() OVER (same_place ORDER BY score) + (count(*) OVER (PARTITION BY place, score) - 1) / 2.0 AS rank
		  FROM (SELECT place, clicked, score FROM scored UNION ALL SELECT NULL, clicked, score FROM scored) AS both_scopes
		  WINDOW same_place AS (PARTITION BY place)) AS ranked
	GROUP BY place, n, positives
};

# With all features hardly two scores are the same, with coarse ones most are.
my %features = (
	'distinct scores' => q{ARRAY['user_id', 'item_id', 'price']},
	'many ties' => q{ARRAY['kind']});

foreach my $kind (sort keys %features)
{
	sql(
		$node, qq{
		SELECT count(*) FROM moemlora_train('m', '(SELECT *, item_id % 7 AS kind FROM fit)', 'clicked', 'place',
			$features{$kind},
			'{"epochs": 5, "hidden": [8], "embedding_dim": 4, "learning_rate": 0.02, "method": "mlora", "serve": "own"}');
		DROP TABLE IF EXISTS scored, evaluated;
		CREATE TABLE scored AS
			SELECT place, clicked, moemlora_predict('m', place, f) AS score FROM (SELECT *, item_id % 7 AS kind FROM fresh) AS f;
		CREATE TABLE evaluated AS
			SELECT * FROM moemlora_evaluate('m', '(SELECT *, item_id % 7 AS kind FROM fresh)', 'clicked', 'place');
	});
	is( sql($node, qq{
			SELECT count(*) || ' ' || bool_and(abs(r.auc - a.auc) < 1e-12)
			FROM ($by_ranks) AS r
			JOIN (SELECT place, moemlora_auc(score, clicked) AS auc FROM scored GROUP BY GROUPING SETS ((place), ())) AS a
				ON a.place IS NOT DISTINCT FROM r.place
		}),
		'5 true', "$kind: moemlora_auc() is the AUC by ranks");
	is( sql($node, qq{
			SELECT count(*) || ' ' || bool_and(abs(r.auc - e.auc) < 1e-6)
			FROM ($by_ranks) AS r JOIN evaluated e ON e.domain = r.place OR r.place IS NULL AND e.scope = 'all'
		}),
		'5 true', "$kind: auc of moemlora_evaluate(), per domain and over all");
	is( sql($node, q{
			SELECT count(*) || ' ' || bool_and(e.rows = s.n AND e.positives = s.positives AND abs(e.logloss - s.logloss) < 1e-6
				AND abs(e.calibration - s.calibration) < 1e-6)
			FROM (SELECT place, count(*) AS n, count(*) FILTER (WHERE clicked) AS positives,
						 avg(-ln(CASE WHEN clicked THEN score ELSE 1 - score END::float8)) AS logloss,
						 avg(score::float8) / avg(clicked::int) AS calibration
				  FROM scored GROUP BY GROUPING SETS ((place), ())) AS s
			JOIN evaluated e ON e.domain = s.place OR s.place IS NULL AND e.scope = 'all'
		}),
		'5 true', "$kind: rows, positives, logloss and calibration");
	is( sql($node, q{
			SELECT bool_and(abs(e.auc - CASE scope WHEN 'mean' THEN d.mean ELSE d.weighted END) < 2e-6)
			FROM (SELECT avg(auc) AS mean, sum(rows * auc) / sum(rows) AS weighted FROM evaluated WHERE scope = 'domain') AS d,
				 evaluated e WHERE scope IN ('mean', 'weighted')
		}),
		't', "$kind: the means are those over the domains");
}

# The columns beside the served mode are what models that serve them say.
foreach my $mode ('backbone', 'own')
{
	sql($node, qq{
		SELECT count(*) FROM moemlora_train('$mode', 'fit', 'clicked', 'place', NULL,
			'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "learning_rate": 0.02, "method": "mlora", "serve": "$mode"}')
	});
}
is( sql($node, q{
		SELECT bool_and(abs(o.backbone_auc - b.auc) < 1e-6 AND abs(b.expert_auc - o.auc) < 1e-6
			AND o.backbone_auc = b.backbone_auc AND o.expert_auc = b.expert_auc)
		FROM moemlora_evaluate('own', 'fresh', 'clicked', 'place') AS o
		JOIN moemlora_evaluate('backbone', 'fresh', 'clicked', 'place') AS b USING (scope)
		WHERE o.domain IS NOT DISTINCT FROM b.domain
	}),
	't', 'backbone_auc and expert_auc are those of the same model served so');

finish($node);
