# Vectors of pgvector as features, through their casts to real[], and embeddings as
# vectors.  Nothing of ours depends on it: where the server has no extension
# "vector", there is no test, and types that its version lacks are left out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('pgvector');

if (sql($node, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'}) eq '0')
{
	$node->stop('fast');
	plan skip_all => 'extension vector is not installed';
}

sql(
	$node, q{
	CREATE EXTENSION vector;
	CREATE TABLE shown AS
	SELECT i AS id, i % 7 AS item_id, ARRAY[i % 5 - 2, (i % 3) * 0.25, 1.5]::real[] AS picture,
		   'place ' || i % 2 AS place, i * 7 % 11 < 4 AS clicked
	FROM generate_series(1, 400) AS i;
	UPDATE shown SET picture = NULL WHERE id % 20 = 0;
});
note('vector ' . sql($node, q{SELECT extversion FROM pg_extension WHERE extname = 'vector'}));

sub train
{
	my ($model, $type, $source) = @_;

	$source //= "(SELECT item_id, picture::$type AS picture, place, clicked FROM shown)";
	return qq{SELECT count(*) FROM moemlora_train('$model', \$s\$$source\$s\$, 'clicked', 'place', NULL,
		'{"epochs": 5, "hidden": [8], "embedding_dim": 4, "learning_rate": 0.02, "method": "backbone"}')};
}

sql($node, train('plain', 'real[]'));
my $bytes = stored_bytes($node, 'plain');
my $score = q{SELECT string_agg(moemlora_predict('%s', place, r)::text, ' ' ORDER BY id)
	FROM (SELECT id, place, item_id, picture::%s AS picture FROM shown) AS r};
my $scores = sql($node, sprintf $score, 'plain', 'real[]');

foreach my $type ('vector', 'halfvec')
{
  SKIP:
	{
		skip "this version has no $type", 1 if sql($node, "SELECT to_regtype('$type') IS NULL") eq 't';

		sql(
			$node, qq{
			CREATE TABLE shown_$type (item_id int, picture $type(3), place text, clicked boolean);
			INSERT INTO shown_$type SELECT item_id, picture, place, clicked FROM shown;
		});
		sql($node, train($type, '', "shown_$type"));
		is(stored_bytes($node, $type), $bytes, "$type: trains as real[] does");
		is( sql(
				$node, qq{
				SELECT concat_ws(' ', f.name, f.kind, f.size, f.sql_type)
				FROM moemlora.feature f
				JOIN moemlora.version v ON v.id = f.version_id
				JOIN moemlora.model m ON m.id = v.model_id
				WHERE m.name = '$type' AND f.position = 2}),
			"picture vector 3 $type", "$type: the catalog has it");
		is(sql($node, sprintf $score, $type, $type), $scores, "$type: scores as real[] does");
		is(sql($node, sprintf $score, $type, "real[]"), $scores, "$type: real[] scores as well");
		is(sql($node, sprintf $score, 'plain', $type), $scores, "$type: so does a model of real[] with it");
		is( sql(
				$node, qq{
				SELECT moemlora_predict('$type', 'place 1', ROW(3, NULL::$type))
						= moemlora_predict('$type', 'place 1', ROW(3, '[0,0,0]'::$type)),
					moemlora_predict('$type', 'place 1', ROW(3, '[1,2,3]'::$type))
						= moemlora_predict('$type', 'place 1', '{"item_id": 3, "picture": [1, 2, 3]}')}),
			't|t', "$type: NULL is zeros, jsonb has arrays");
		is( sql(
				$node, qq{
				SELECT rows
				FROM moemlora_evaluate('$type', '(SELECT item_id, picture::$type AS picture, place, clicked FROM shown)',
					'clicked', 'place')
				WHERE scope = 'all'}),
			'400', "$type: evaluate takes it");

		# What a model learned fills a column, which finds neighbours.
		sql(
			$node, qq{
			CREATE TABLE items_$type (item_id int, embedding $type(4));
			INSERT INTO items_$type (item_id) SELECT DISTINCT item_id FROM shown;
			UPDATE items_$type SET embedding = moemlora_embedding('$type', 'item_id', item_id)::$type;
			CREATE INDEX ON items_$type USING ivfflat (embedding ${type}_l2_ops) WITH (lists = 1);
			ANALYZE items_$type;
		});
		is( sql(
				$node, qq{
				SELECT count(*), count(DISTINCT embedding),
					bool_and(embedding = moemlora_embedding('$type', 'item_id', item_id)::$type)
				FROM items_$type}),
			'7|7|t', "$type: a column of embeddings");
		is( sql(
				$node, qq{
				SET enable_seqscan = off;
				SELECT item_id FROM items_$type
				ORDER BY embedding <-> (SELECT embedding FROM items_$type WHERE item_id = 3) LIMIT 1}),
			'3', "$type: in which an index finds the nearest");

		my $mixed = "(SELECT item_id, CASE WHEN id = 123 THEN '[1,2]' ELSE picture::$type END AS picture, place, clicked"
		  . ' FROM shown ORDER BY id)';
		my $lengths = qr/vector feature "picture" has length 2 instead of 3/;
		my $place = qr/.*DETAIL:  Row 123, column "picture"/s;

		refuses($node, train('mixed', '', $mixed), '22000', qr/$lengths$place/, "$type: another length, training");
		refuses($node, qq{SELECT moemlora_evaluate('$type', \$s\$$mixed\$s\$, 'clicked', 'place')},
			'22000', qr/$lengths$place/, "$type: another length, evaluate");
		refuses($node, qq{SELECT moemlora_predict('$type', 'place 1', ROW(3, '[1,2]'::$type))}, '22000', $lengths,
			"$type: another length, scoring");
		refuses(
			$node, qq{
			SELECT moemlora_predict('$type', 'place 1', to_jsonb(r))
			FROM (SELECT 3 AS item_id, '[1,2,3]'::$type AS picture) AS r},
			'42804', qr/feature "picture" of the model is vector, but the jsonb has a string.*HINT:  It takes an array of numbers/s,
			"$type: jsonb makes a string of it");
		refuses($node, train('many', '', "(SELECT ARRAY[picture::$type] AS picture, place, clicked FROM shown)"), '42804',
			qr/column "picture" of type $type\[\] cannot be a feature/, "$type: an array of them is no feature");
	}
}

# A model does not hold on to the type.
sql($node, 'DROP EXTENSION vector CASCADE');
is(sql($node, sprintf $score, 'vector', "real[]"), $scores, 'without the extension the model scores on');

finish($node);
