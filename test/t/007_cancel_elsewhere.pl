# A cancel before and after the phases of training: while the source is read,
# while the rows are sorted and the vocabularies made, and while the version is
# stored; and statement_timeout, wherever it strikes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Cancel;
use Test::More;

my $node = new_server('cancel_elsewhere');

prepare_cancels($node);

# Columns of many distinct values: finishing has much to sort, and storing much to write.
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT i AS a, (i * 7919::bigint % 1000003)::int AS b, md5(i::text) AS c, i / 2 AS d, i % 2000 AS e,
		   (i % 101)::real AS price, 'place ' || i % 7 AS place, hashint4(i) % 3 = 0 AS clicked
	FROM generate_series(1, 200000) AS i;
	CREATE SEQUENCE source_ended;
	CREATE SEQUENCE version_inserted;
});

# Signs that other sessions can see at once, since sequences do not wait for a commit.
sql(
	$node, q{
	CREATE FUNCTION note_version() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM nextval('public.version_inserted');
		RETURN NULL;
	END $$;
	CREATE TRIGGER note_version AFTER INSERT ON moemlora.version FOR EACH ROW EXECUTE FUNCTION note_version();
	GRANT USAGE ON SEQUENCE version_inserted TO PUBLIC;
});
my $whole_source = q{(SELECT * FROM shown UNION ALL SELECT * FROM shown WHERE a = 1 AND nextval('source_ended') > 0)};
my $forget = q{SELECT setval('source_ended', 1, false), setval('version_inserted', 1, false)};
my $has_ended = q{(SELECT is_called FROM source_ended)};

sub training
{
	my ($options, $rows) = @_;
	my $source = $rows ? "(SELECT * FROM shown LIMIT $rows)" : $whole_source;

	return qq{
		SELECT count(*) FROM moemlora_train('m', \$\$$source\$\$, 'clicked', 'place', NULL,
			'{"epochs": 1, "hidden": [4], "method": "backbone"}'::jsonb || '$options')
	};
}

my $before = catalog($node);

cancel_often(
	$node, training('{}'), in_phase('reading') . " AND NOT $has_ended",
	before => $forget,
	within => 0.15,
	name => 'cancel while the source is read');
cancel_often(
	$node, training('{"embedding_dim": 1}'), in_phase('reading') . " AND $has_ended",
	before => $forget,
	within => 0.1,
	name => 'cancel while the rows are sorted and the vocabularies made');

# More than 30 MB to write.
cancel_often(
	$node, training('{"embedding_dim": 32, "batch_size": 16384}', 60000), q{(SELECT is_called FROM version_inserted)},
	before => $forget,
	within => 0.15,
	name => 'cancel while the version is stored');
is(catalog($node), $before, 'nothing was stored');

# A source that waits for something else.
cancel_often(
	$node,
	q{SELECT count(*) FROM moemlora_train('m', '(SELECT *, pg_sleep(60) FROM shown)', 'clicked', 'place', ARRAY['a'])},
	in_phase('reading'),
	within => 0.05,
	name => 'cancel while the source waits');

# statement_timeout at moments all over a training.
my $seconds = sql(
	$node, q{BEGIN; SELECT clock_timestamp() AS began \gset
	} . training('{}') . q{; SELECT extract(epoch FROM clock_timestamp() - :'began'::timestamptz); ROLLBACK}) =~ s/^1\n//r;

time_out_often($node, training('{}'), $seconds, 'statement_timeout');
is(catalog($node), $before, 'nothing was stored');
is(sql($node, training('{}')), '1', 'the next training works');

finish($node);
