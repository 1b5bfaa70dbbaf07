# Every released version can be updated to the newest one, and is then what a
# fresh installation gives; models stay as they are.
#
# Made-up old versions prove that the comparison sees whatever an update script
# leaves out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('upgrade', no_extension => 1);
my $scripts = sql($node, q{SELECT setting || '/extension/moemlora--' FROM pg_config WHERE name = 'SHAREDIR'});
my $newest = sql($node, q{SELECT default_version FROM pg_available_extensions WHERE name = 'moemlora'});

# Everything that an installation makes, line by line.
my $catalog = q{
	WITH member AS (
		SELECT d.classid, d.objid, e.extconfig, e.extcondition
		FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
		WHERE e.extname = 'moemlora'
	), relation AS (
		SELECT c.*, c.oid::regclass AS name FROM member JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
	), function AS (
		SELECT p.* FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
	)
	SELECT regexp_replace(line, '\s+', ' ', 'g') FROM (
		SELECT concat_ws(' | ', pg_describe_object(classid, objid, 0), obj_description(objid, classid::regclass::name))
		FROM member
	UNION ALL
		SELECT concat_ws(' | ', 'schema', nspname, nspacl) FROM member JOIN pg_namespace n ON classid = 'pg_namespace'::regclass AND objid = n.oid
	UNION ALL
		SELECT concat_ws(' | ', 'function', pg_get_functiondef(oid), proacl) FROM function WHERE prokind <> 'a'
	UNION ALL
		SELECT concat_ws(' | ', 'aggregate', p.oid::regprocedure, pg_get_function_arguments(p.oid), p.proparallel, p.proacl, a)
		FROM function p JOIN pg_aggregate a ON aggfnoid = p.oid
	UNION ALL
		SELECT concat_ws(' | ', 'relation', name, relkind, relowner::regrole, relrowsecurity, reloptions, relacl,
			CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) END)
		FROM relation
	UNION ALL
		SELECT concat_ws(' | ', 'column', name, row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
			format_type(atttypid, atttypmod), attcollation::regcollation, attstorage, attnotnull, attidentity,
			pg_get_expr(adbin, adrelid), attacl, col_description(attrelid, attnum))
		FROM relation r
		JOIN pg_attribute ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped
		LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	UNION ALL
		SELECT concat_ws(' | ', 'constraint', name, conname, pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint'))
		FROM relation r JOIN pg_constraint c ON conrelid = r.oid
	UNION ALL
		SELECT concat_ws(' | ', 'index', pg_get_indexdef(indexrelid)) FROM relation r JOIN pg_index ON indrelid = r.oid
	UNION ALL
		SELECT concat_ws(' | ', 'trigger', pg_get_triggerdef(t.oid), tgenabled, obj_description(t.oid, 'pg_trigger'))
		FROM relation r JOIN pg_trigger t ON tgrelid = r.oid AND NOT tgisinternal
	UNION ALL
		SELECT concat_ws(' | ', 'sequence', name, seqtypid::regtype, seqstart, seqincrement, seqmax, seqcycle)
		FROM relation r JOIN pg_sequence ON seqrelid = r.oid
	UNION ALL
		SELECT concat_ws(' | ', 'initial privileges', pg_describe_object(classoid, objoid, objsubid), initprivs)
		FROM member JOIN pg_init_privs ON classoid = classid AND objoid = objid
	UNION ALL
		SELECT DISTINCT concat_ws(' | ', 'dumped', t::regclass, c)
		FROM member, unnest(extconfig, extcondition) AS u(t, c)
	) AS l(line)
	ORDER BY line COLLATE "C"
};

sub lines
{
	my ($db) = @_;

	return split /\n/, sql($node, $catalog, db => $db);
}

sql($node, 'CREATE DATABASE fresh');
sql($node, 'CREATE EXTENSION moemlora', db => 'fresh');
my @fresh = lines('fresh');

# What a fresh installation has and an updated one has not, or the other way round.
sub differences
{
	my ($db) = @_;
	my %there = map { $_ => 1 } lines($db);
	my @missing = grep { !delete $there{$_} } @fresh;

	return join "\n", map({ "- $_" } @missing), map({ "+ $_" } sort keys %there);
}

# ------------------------------------------------------------ made-up versions

# Today's without one function, one column, and that column in a view.
my $today = slurp_file("$scripts$newest.sql");
my ($function) = $today =~ /^(CREATE FUNCTION \@extschema@\.moemlora_prune\(.*?;\n)/ms;
my ($comment) = $today =~ /^(COMMENT ON FUNCTION \@extschema@\.moemlora_prune\(.*?\$\$;\n)/ms;
my ($column) = $today =~ /,\n\t(created timestamptz [^\n]*)\n\);\nCOMMENT ON TABLE moemlora\.model /s;
my ($about_column) = $today =~ /^(COMMENT ON COLUMN moemlora\.model\.created [^\n]*\n)/m;
my ($view) = $today =~ /^(CREATE VIEW moemlora\.models .*?;\n)/ms;
my @about_view = $today =~ /^(COMMENT ON (?:VIEW|COLUMN) moemlora\.models\b[^\n]*\n)/mg;
my $old_view = $view =~ s/^[^\n]*m\.created[^\n]*\n//mr;
my $old = $today;

$old =~ s/\Q$_\E// foreach $function, $comment, $about_column, (grep { /models\.created / } @about_view), ",\n\t$column";
$old =~ s/\Q$view\E/$old_view/;
my @update = (
	"ALTER TABLE moemlora.model ADD COLUMN $column;\n", $about_column,
	"DROP VIEW moemlora.models;\n$view", join('', @about_view),
	"GRANT SELECT ON moemlora.models TO PUBLIC;\n",
	$function, $comment);
my @written;

sub make_version
{
	my ($version, @statements) = @_;
	my %text = ($version => $old, "$version--$newest" => join '', @statements);

	foreach my $name (sort keys %text)
	{
		push @written, "$scripts$name.sql";
		open my $file, '>', $written[-1] or die "$written[-1]: $!";
		print $file $text{$name};
		close $file or die "$written[-1]: $!";
	}
	return;
}

END { unlink @written }

make_version('made up', @update);

# ------------------------------------------------------------- every version

my $scores = q{SELECT string_agg(float4send(moemlora_predict('m', place, s))::text, '' ORDER BY id) FROM shown s};
my $train = q{SELECT count(*) > 0 FROM moemlora_train('m', 'shown', 'clicked', 'place', ARRAY['user_id'],
	'{"epochs": 1, "hidden": [8], "recipe": "paper"}')};
my @versions = split /\n/, sql($node, qq{
	SELECT version FROM pg_available_extension_versions WHERE name = 'moemlora' AND version <> '$newest' ORDER BY 1});
my $n = 0;

ok(scalar(grep { $_ eq 'made up' } @versions), 'there is an old version');
foreach my $version (@versions)
{
	my $db = 'old' . ++$n;

	sql($node, "CREATE DATABASE $db");
	sql($node, qq{CREATE EXTENSION moemlora VERSION "$version"}, db => $db);
	isnt(differences($db), '', "version $version is another");
	make_rows($node, 2000, db => $db);
	is(sql($node, $train, db => $db), 't', 'its script works with the newest library');
	my $expected = sql($node, $scores, db => $db);
	refuses($node, q{SELECT * FROM moemlora_tune('shown', 'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [8]}')}, '55000',
		qr/has 10 columns in this database, and 8 in the library.*ALTER EXTENSION moemlora UPDATE/s, 'a result of other columns is told', db => $db)
	  if $version eq '0.1.0';

	sql($node, 'ALTER EXTENSION moemlora UPDATE', db => $db);
	is(sql($node, q{SELECT extversion FROM pg_extension WHERE extname = 'moemlora'}, db => $db), $newest, 'it is updated');
	is(differences($db), '', 'the catalog is that of a fresh installation');
	is(sql($node, $scores, db => $db), $expected, 'its models score the same');
	is(sql($node, $train, db => $db), 't', 'and can be trained again');
	is(sql($node, q{SELECT count(*), max(version) FROM moemlora.versions}, db => $db), '2|2', 'as another version');
}

# ------------------------------------------- models that old libraries have stored

# Value and scores as a release gave them: files of test/released, which never change.
my %released = ('0.1.0' => '0.48405 0.48361 0.48348 0.48631 0.48339 0.48044 0.48308 0.48490 0.48175 0.48538 0.48618 0.48081');
my $rows = q{(SELECT i AS id, i % 12 AS user_id, 'item ' || i % 7 AS item, CASE WHEN i % 9 > 0 THEN i % 31 / 3.0 END AS price,
	CASE WHEN i % 5 > 0 THEN ARRAY['a', chr(98 + i % 4), NULL] END AS tags, 'place ' || i % 3 AS place
	FROM generate_series(1, 12) AS i) AS s};

sql($node, 'CREATE DATABASE values');
sql($node, 'CREATE EXTENSION moemlora', db => 'values');
is(join(' ', sort keys %released), join(' ', map { m{moemlora--(.*)\.base64$} } glob "$FindBin::RealBin/../released/*"),
	'every release has left a model');
foreach my $version (sort keys %released)
{
	my $value = slurp_file("$FindBin::RealBin/../released/moemlora--$version.base64");

	sql($node, "SELECT moemlora_import('of $version', decode(\$b\$$value\$b\$, 'base64'))", db => 'values');
	is(
		sql($node, "SELECT string_agg(round(moemlora_predict('of $version', place, s)::numeric, 5)::text, ' ' ORDER BY id) FROM $rows",
			db => 'values'),
		$released{$version}, "a model that version $version has made scores as it did");
}

# -------------------------------------------------- what update scripts forget

sql($node, 'CREATE DATABASE forgetful');
foreach my $i (0 .. $#update)
{
	my ($what) = $update[$i] =~ /^(.{1,60})/;

	make_version("without $i", map { $_ == $i ? () : $update[$_] } 0 .. $#update);
	sql($node, qq{CREATE EXTENSION moemlora VERSION "without $i"}, db => 'forgetful');
	my $is_updated = eval { sql($node, 'ALTER EXTENSION moemlora UPDATE', db => 'forgetful'); 1 };

	ok(!$is_updated || differences('forgetful') ne '', "forgotten, and seen: $what");
	sql($node, 'DROP EXTENSION moemlora', db => 'forgetful');
}

finish($node);
