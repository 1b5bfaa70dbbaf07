# Whose rights moemlora_report() reads rows with: those of the caller where the
# source is given, those of the model's owner where it is the recorded one, and
# then for who may manage the model only.  What cannot be read is told, what
# concerns the whole statement is an error, and nothing stays behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_server('report_source', streaming => 1);

sql(
	$node, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE member LOGIN IN ROLE alice;
	CREATE ROLE bob LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE boss LOGIN SUPERUSER;
	CREATE SCHEMA house AUTHORIZATION alice;
	GRANT CREATE ON SCHEMA public TO alice;
	CREATE TABLE readers (who name, real_name name);
	GRANT ALL ON readers TO PUBLIC;
});
sql(
	$node, q{
	CREATE TABLE house.shown AS
	SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked FROM generate_series(1, 2000) AS i;
	CREATE FUNCTION house.note_reader(id int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF id = 7 THEN INSERT INTO public.readers VALUES (current_user, session_user); END IF;
		RETURN id;
	END $$;
	CREATE VIEW house.noted AS SELECT * FROM house.shown;
	SET search_path = house, public;
	SELECT count(*) FROM moemlora_train('m', 'noted', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 2, "hidden": [4], "min_domain_rows": 10, "recipe": "paper"}');
	SELECT moemlora_grant('m', 'bob');
	CREATE OR REPLACE VIEW house.noted AS SELECT house.note_reader(id) AS id, user_id, place, clicked FROM house.shown;
}, user => 'alice');

my $report = q{SELECT (regexp_match(moemlora_report('m'), '<p class="(?:note|soft)">([^<]*)</p>\n<nav'))[1]};

# The view runs note_reader() with the rights of whoever asks.
sub readers
{
	return sql($node, 'SELECT DISTINCT who, real_name FROM readers; TRUNCATE readers');
}

# The recorded source: as its owner, whoever may manage the model.
foreach my $role ('alice', 'member', 'boss')
{
	like(sql($node, $report, user => $role), qr/^Measured on all 2,000 rows of the recorded source/, "$role sees the recorded source");
	is(readers(), "alice|$role", "which is read with the rights of the owner: $role");
}
like(sql($node, $report, user => 'bob'), qr/^The recorded source is read for the owner of the model only/, 'a grantee does not');
is(readers(), '', 'and none of it runs');
refuses($node, $report, '42501', qr/permission denied for model "m"/, 'a stranger sees nothing', user => 'stranger');

# A source that is given: as the caller.
my $given = $report =~ s/'m'\)/'m', '(SELECT * FROM house.shown WHERE id <= 500) AS s')/r;

refuses($node, $given, '42501', qr/permission denied for schema house/, 'a grantee needs rights to a source', user => 'bob');
sql($node, 'GRANT USAGE ON SCHEMA house TO bob; GRANT SELECT ON house.shown, house.noted TO bob', user => 'alice');
like(sql($node, $given, user => 'bob'), qr/^Measured on the 500 rows of the source that was given/, 'and has them');
sql($node, $report =~ s/'m'\)/'m', 'house.noted')/r, user => 'bob');
is(readers(), 'bob|bob', 'with which it is read');

# Row level security is the owner's.
sql(
	$node, q{
	CREATE POLICY own ON house.shown USING (current_user = 'boss' OR id <= 900);
	ALTER TABLE house.shown ENABLE ROW LEVEL SECURITY;
	ALTER TABLE house.shown FORCE ROW LEVEL SECURITY;
}, user => 'alice');
like(sql($node, $report, user => 'boss'), qr/^Measured on all 900 rows/, 'a superuser sees the rows that the owner may see');
sql($node, 'ALTER TABLE house.shown DISABLE ROW LEVEL SECURITY', user => 'alice');
readers();

# Names are looked up as they were at training, and a temporary table does not stand in for one.
my $session = Moemlora::Session->new($node, user => 'alice');

$session->ask('SET search_path = public; CREATE TEMP TABLE noted AS SELECT 1 AS nothing');
like($session->ask($report), qr/^Measured on all 2,000 rows/, 'under the search_path of the training');
is(readers(), 'alice|alice', 'with the view that the training knew');
is($session->ask(q{SELECT current_setting('search_path') || ' ' || current_user}), 'public alice', 'which is over then');

# What goes wrong is told, in a subtransaction that leaves nothing behind.
$session->ask('ALTER TABLE house.shown RENAME COLUMN clicked TO pressed');
$session->ask('CREATE OR REPLACE FUNCTION house.note_reader(id int) RETURNS int LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION USING MESSAGE = \'no <rows> today\', DETAIL = \'Come again.\', ERRCODE = \'P0777\'; END $$');
my $answer = $session->ask("BEGIN; $report; SELECT pg_current_xact_id_if_assigned() IS NULL, current_setting('search_path'), current_user; END");

like($answer, qr/^The recorded source could not be read: no &lt;rows&gt; today\. Come again\. So the figures/, 'an error of the source is told');
like($answer, qr/^t\|public\|alice$/m, 'the transaction goes on as before');
is($session->errors, '', 'without an error');
refuses($node, $report =~ s/'m'\)/'m', 'house.noted')/r, 'P0777', qr/no <rows> today/, 'of a source that is given it is an error',
	user => 'alice');

# What concerns the statement is an error.
$session->ask('CREATE OR REPLACE FUNCTION house.note_reader(id int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(10); RETURN id; END $$');
$session->ask("SET statement_timeout = '300ms'");
$session->ask($report);
like($session->errors, qr/57014: canceling statement due to statement timeout/, 'a timeout ends it');
$session->ask('RESET statement_timeout');
$session->ask('CREATE OR REPLACE FUNCTION house.note_reader(id int) RETURNS int LANGUAGE sql AS $$ SELECT id $$');
$session->ask('ALTER TABLE house.shown RENAME COLUMN pressed TO clicked');

# Too little memory for the rows.
$session->ask("SET moemlora.training_memory = '1MB'");
my $many = q{(SELECT s.* FROM house.shown AS s, generate_series(1, 100))};

$session->ask($report =~ s/'m'\)/'m', '$many')/r);
like($session->errors, qr/54000: .*memory.*1024 kB are allowed/s,
	'too many rows are an error with numbers');
$session->ask('RESET moemlora.training_memory');

# An owner who is gone.
sql($node, q{SELECT moemlora_owner_to('m', 'stranger'); CREATE ROLE heir; ALTER ROLE stranger RENAME TO renamed}, user => 'boss');
like(sql($node, $report, user => 'boss'), qr/^The owner of the model does not exist any more/, 'an owner who is gone reads nothing');
sql($node, q{SELECT moemlora_owner_to('m', 'alice')}, user => 'boss');

# Nothing stays in the session, whatever happens.
$session = Moemlora::Session->new($node);

sub bytes_of
{
	my ($pattern) = @_;

	return $session->ask("SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name ~ '$pattern'");
}

sub try_everything
{
	$session->ask($report);
	$session->ask($report =~ s/'m'\)/'m', 'not_there')/r);
	$session->ask($report =~ s/'m'\)/'m', '(SELECT *, 1 \/ (id - 1900) FROM house.shown)')/r);
	$session->ask('ALTER TABLE house.shown RENAME TO hidden; DROP VIEW house.noted');
	$session->ask($report);
	$session->ask('ALTER TABLE house.hidden RENAME TO shown; CREATE VIEW house.noted AS SELECT * FROM house.shown;
		ALTER VIEW house.noted OWNER TO alice');
	$session->errors;
	return;
}

try_everything() foreach 1 .. 3;
is(bytes_of('^moemlora (?!model)'), 0, 'no memory of a report is left');
my $before = bytes_of('^(?!moemlora model)');
try_everything() foreach 1 .. 10;
my $grown = bytes_of('^(?!moemlora model)') - $before;
note("after ten more rounds the session holds $grown bytes more");
cmp_ok($grown, '<', 200_000, 'the session does not grow');

# A standby makes the same page.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('report_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
my ($here, $there) = map { sql($_, q{SELECT moemlora_report('m')}, user => 'alice') =~ s/Made on [^<]*?by role/by role/r } $node, $standby;

is($there, $here, 'a standby makes the same page');
like($here, qr/Measured on all 2,000 rows/, 'with all of it');

finish($standby, $node);
