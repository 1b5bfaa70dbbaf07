# CALL moemlora_retrain(): the stored source runs as the model's owner, restricted,
# whoever calls; one run at a time; what is decided; and a job of pg_cron.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

# A server that has pg_cron's library can be told to load it, and no other can.
sub has_cron
{
	my $directory = qx{pg_config --sharedir};

	chomp $directory;
	return -e "$directory/extension/pg_cron.control";
}

my $node = new_server('retrain');

sql(
	$node, q{
	CREATE ROLE olivia LOGIN;
	CREATE ROLE member LOGIN IN ROLE olivia;
	CREATE ROLE grantee LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE SCHEMA own AUTHORIZATION olivia;
	CREATE TABLE own.shown AS
	SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked,
		   CASE WHEN i % 4 = 0 THEN 'olivia' ELSE 'others' END AS visible_to
	FROM generate_series(1, 2000) AS i;
	GRANT SELECT ON own.shown TO PUBLIC;
	GRANT USAGE ON SCHEMA own TO PUBLIC;
});

sub train
{
	my ($model, $source) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', \$s\$$source\$s\$, 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [4], "method": "backbone"}')};
}

sub newest
{
	my ($model, $columns) = @_;

	return sql(
		$node, qq{
		SELECT $columns FROM moemlora.versions v LEFT JOIN moemlora.decisions d USING (model, version, is_current)
		JOIN (SELECT model, version, jsonb_object_agg(name, value) AS card FROM moemlora.cards GROUP BY 1, 2) AS c USING (model, version)
		WHERE model = '$model' ORDER BY version DESC LIMIT 1});
}

my %olivia = (user => 'olivia');

# Who may.
sql($node, 'SET search_path = own, public; ' . train('m', 'shown'), %olivia);
sql($node, q{SELECT moemlora_grant('m', 'grantee')}, %olivia);
refuses($node, q{CALL moemlora_retrain('m')}, '42501', qr/permission denied for model "m"/, "a $_ may not", user => $_)
  foreach 'stranger', 'grantee';
foreach my $role ('olivia', 'member', undef)
{
	sql($node, q{CALL moemlora_retrain('m')}, user => $role);
	is(newest('m', q{card ->> 'source', is_current, decision, rows}), 'shown|t|promoted|2000',
		'retrained by ' . ($role // 'a superuser') . ', whose search_path does not find the source');
}
is(newest('m', 'version'), '4', 'nothing came of what was refused');

# The owner's rows and rights, not the caller's.
sql(
	$node, q{
	ALTER TABLE own.shown ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own_rows ON own.shown USING (visible_to = current_user);
});
sql($node, q{CALL moemlora_retrain('m')});
is(newest('m', 'rows'), '500', 'a superuser retrains on the rows that the owner may see');
sql($node, 'REVOKE SELECT ON own.shown FROM PUBLIC');
refuses($node, q{CALL moemlora_retrain('m')}, '42501', qr/permission denied for table shown/,
	"the owner's rights do not suffice: nor do a superuser's");
sql($node, 'GRANT SELECT ON own.shown TO olivia; ALTER TABLE own.shown DISABLE ROW LEVEL SECURITY');

# A schema whose name has the temporary one's in it is a schema like others.
sql($node, q{
	CREATE SCHEMA my_pg_temp;
	CREATE TABLE my_pg_temp.few AS SELECT * FROM own.shown LIMIT 1000;
	SET search_path = my_pg_temp, public;
	SELECT count(*) FROM moemlora_train('few', 'few', 'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "method": "backbone"}')});
sql($node, q{CREATE TEMP TABLE few AS SELECT * FROM own.shown LIMIT 777; CALL moemlora_retrain('few', '{"promote": "always"}')});
is(newest('few', 'rows'), '1000', 'its tables are not hidden by temporary ones');

# Other tables and functions of the same names, in the caller's search_path and among its temporary tables.
my $out = sql(
	$node, q{
	CREATE SCHEMA trap;
	CREATE TABLE trap.shown AS SELECT * FROM own.shown LIMIT 100;
	CREATE TEMP TABLE shown AS SELECT * FROM own.shown LIMIT 200;
	CREATE FUNCTION trap.equal(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		RAISE WARNING 'trap: = as %', current_user;
		RETURN a OPERATOR(pg_catalog.=) b;
	END $$;
	CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.equal);
	SET search_path = trap, pg_temp, pg_catalog, public;
	CALL moemlora_retrain('m');
	SELECT current_user, pg_catalog.current_setting('search_path');
});
is($out, 'postgres|trap, pg_temp, pg_catalog, public', 'role and search_path are as before');
is(newest('m', 'rows'), '2000', 'the source is that of the training');
is(sql($node, q{SELECT spec ->> 'search_path' FROM moemlora.version ORDER BY id DESC LIMIT 1}), 'own, public',
	'and the search_path recorded is its, too');

# A hostile source: whatever it does, it does as its owner, and cannot get out of that.
sql(
	$node, q{
	CREATE FUNCTION own.attempt() RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE
		command text;
	BEGIN
		RAISE WARNING 'runs as %, %', current_user, session_user;
		FOREACH command IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION postgres',
			'RESET SESSION AUTHORIZATION', 'ALTER ROLE olivia SUPERUSER', 'DROP TABLE own.precious',
			'CREATE TEMP TABLE left_over ()', 'INSERT INTO own.deferred VALUES (1)'] LOOP
			BEGIN
				EXECUTE command;
				RAISE WARNING 'done: % as %', command, current_user;
			EXCEPTION WHEN OTHERS THEN RAISE WARNING 'refused: %', command;
			END;
		END LOOP;
		SET client_min_messages = error;
		RETURN true;
	END $$;
	ALTER FUNCTION own.attempt OWNER TO olivia;
	CREATE TABLE own.precious ();
	CREATE TABLE own.deferred (id int);
	ALTER TABLE own.deferred OWNER TO olivia;
	CREATE FUNCTION own.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE WARNING 'at commit as %', current_user;
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON own.deferred DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION own.at_commit();
	CREATE VIEW own.hostile AS SELECT user_id, place, clicked FROM own.shown WHERE id <= 500 AND (id > 1 OR own.attempt());
	ALTER VIEW own.hostile OWNER TO olivia;
});
sql($node, train('hostile', 'own.hostile'), %olivia);
my $err = sql($node, q{CALL moemlora_retrain('hostile'); SHOW client_min_messages}, notices => 1);
like($err, qr/runs as olivia, postgres\b/, 'the source runs as the owner in a session of a superuser');
is(scalar(() = $err =~ /refused: /g), 8, 'all that it attempts is refused');
unlike($err, qr/done: |at commit as/, 'nothing is done');
is(sql($node, q{CALL moemlora_retrain('hostile'); SHOW client_min_messages; SELECT current_user}), "warning\npostgres",
	'and settings and role are as before');
$err = sql(
	$node, q{
	CREATE VIEW own.failing AS SELECT *, 1 / (id - id) AS one FROM own.shown;
	ALTER VIEW own.failing OWNER TO olivia;
	UPDATE moemlora.version SET spec = jsonb_set(spec, '{source}', '"own.failing"')
	WHERE model_id = (SELECT id FROM moemlora.model WHERE name = 'hostile');
	DO $$
	BEGIN
		BEGIN
			CALL moemlora_retrain('hostile');
		EXCEPTION WHEN division_by_zero THEN RAISE WARNING 'caught';
		END;
		RAISE WARNING 'now % with %', current_user, current_setting('search_path');
	END $$;
}, notices => 1);
like($err, qr/caught.*now postgres with "\$user", public\n/s, 'an error of the source leaves role and search_path as they were');

# Two runs of one model, and what ends one.
my $first = Moemlora::Session->new($node);
my $second = Moemlora::Session->new($node, %olivia);
my $long = q{CALL moemlora_retrain('m', '{"epochs": 100000, "patience": 100000, "warm_start": false}')};
my $is_running = 'SELECT count(*) = 1 FROM moemlora.progress WHERE step > 0 AND pid = ' . $first->pid;
my $busy = qr/ERROR:  55P03: model "m" is being trained or changed by another session/;

$first->send($long);
ok($node->poll_query_until('postgres', $is_running), 'a run is under way');
like($second->errors(q{CALL moemlora_retrain('m')}), $busy, 'a second one fails at once');
like($second->errors(train('m', 'own.shown')), $busy, 'so does a training');
sql($node, 'SELECT pg_cancel_backend(' . $first->pid . ')');
$first->wait;
like($first->errors, qr/ERROR:  57014/, 'the first can be cancelled');
is($first->ask('SELECT current_user, current_setting($$search_path$$)'), 'postgres|"$user", public',
	'and leaves role and search_path as they were');
is($second->errors(q{CALL moemlora_retrain('m')}), '', 'then another can run');

# What becomes current while it runs is not what it was compared with.
my $start = newest('m', 'version');
$first->send(q{CALL moemlora_retrain('m', '{"epochs": 100000, "patience": 100000, "max_seconds": 2}')});
ok($node->poll_query_until('postgres', $is_running), 'a run is under way');
is($second->errors(q{SELECT moemlora_promote('m', 2)}), '', 'another version is promoted');
$first->wait;
is($first->errors, '', 'the run ends well');
is(newest('m', 'is_current, decision, reason'), 'f|kept back|version 2 became current while it was trained',
	'its version is kept back');
is(newest('m', 'version'), $start + 1, 'and stored');

# What is told, to the caller and to the log.
my $mark = -s $node->logfile;
$err = sql($node, q{CALL moemlora_retrain('m', '{"promote": "never"}'); CALL moemlora_retrain('m', '{"promote": "always"}')},
	notices => 1);
my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $mark);
foreach my $case ([ 'NOTICE:  00000', $err ], [ 'LOG', $log ])
{
	my ($level, $told) = @$case;

	like($told, qr/$level: +version \d+ of model "m" was kept back: option promote is "never"/, "$level: kept back");
	like($told, qr/$level: +version \d+ of model "m" is current: option promote is "always"/, "$level: promoted");
}

# The owner goes; a new one reads with its own rights.
sql($node, 'CREATE ROLE gone LOGIN');
sql($node, train('left', '(SELECT i AS user_id, 1 AS place, i % 2 = 0 AS clicked FROM generate_series(1, 200) AS i)'),
	user => 'gone');
sql($node, 'DROP ROLE gone');
refuses($node, q{CALL moemlora_retrain('left')}, '42704',
	qr/the owner of model "left" does not exist\n.*no role "gone".*moemlora_owner_to\(\)/s, 'no owner, no rights to read with');
sql($node, q{SELECT moemlora_owner_to('left', 'olivia'); CALL moemlora_retrain('left')});
is(newest('left', q{version, card ->> 'created_by'}), '2|olivia', 'the new owner reads');

# A scheduled job, run by pg_cron itself as a superuser.
$first->close;
$second->close;
SKIP:
{
	skip 'pg_cron is not installed', 4 unless has_cron();
	$node->append_conf(
		'postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\n"
		  . "cron.use_background_workers = on\n");
	$node->restart;
	sql($node, 'CREATE EXTENSION pg_cron');
	my $before = newest('m', 'version');
	my $job = sql($node, q{SELECT cron.schedule('nightly', '* * * * *', $job$CALL moemlora_retrain('m')$job$)});
	ok( $node->poll_query_until(
			'postgres', "SELECT count(*) > 0 FROM cron.job_run_details WHERE jobid = $job AND end_time IS NOT NULL"),
		'the job has run');
	sql($node, q{SELECT cron.unschedule('nightly')});
	is(sql($node, "SELECT DISTINCT status, return_message FROM cron.job_run_details WHERE jobid = $job"),
		'succeeded|CALL', 'it succeeded');
	is(newest('m', q{version, is_current, decision, card ->> 'source'}), ($before + 1) . '|t|promoted|shown', 'a new version is there');
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile),
		qr/LOG:  version @{[$before + 1]} of model "m" is current: AUC/, 'and the log says what was decided');
}

finish($node);
