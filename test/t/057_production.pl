# The queries that the README gives to whoever operates a server: each tells what it says it tells.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('production');

sql(
	$node, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE leaving LOGIN;
	CREATE TABLE clicks AS
	SELECT u AS user_id, i AS item_id, (ARRAY['books', 'games', 'music'])[1 + (u * 7 + i) % 3] AS shop,
		   sin(u) * cos(i) + sin(i * (1 + (u * 7 + i) % 3)) > 0.3 AS clicked
	FROM generate_series(1, 200) AS u, generate_series(1, 60) AS i;
	GRANT SELECT ON clicks TO PUBLIC;
});

sub train
{
	my ($model, $options) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', 'clicks', 'clicked', 'shop', NULL,
		'{"epochs": 2, "hidden": [16], "method": "backbone"}'::jsonb || '$options')};
}

# Two versions of ctr, the second of tonight; one of an owner who is gone, and not trained for long; a grant to nobody.
sql($node, train('ctr', '{}'), user => 'alice');
sql($node, train('left behind', '{}'), user => 'leaving');
sql($node, q{SELECT moemlora_grant('ctr', 'leaving')}, user => 'alice');
sql($node, q{UPDATE moemlora.version SET created = created - interval '3 days'; DROP ROLE leaving});
sql($node, q{CALL moemlora_retrain('ctr', '{"promote": "always"}')});

my $endless = Moemlora::Session->new($node);

$endless->send(train('ctr', '{"epochs": 100000, "patience": 100000}'));
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM moemlora.progress WHERE step > 0'), 'a training runs');

my $bytes = sql($node, q{SELECT pg_size_pretty(bytes::numeric), pg_size_pretty(2 * bytes::numeric)
	FROM moemlora.versions WHERE model = 'left behind'});
my ($once, $twice) = split /\|/, $bytes;
my $date = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00/;

# What each is known by, and what it answers.
my @queries = (
	[ qr/AS percent/, qr/^@{[$endless->pid]}\|ctr\|backbone\|\d+\|\d+\|00:00:\d\d\.\d+\z/, 'the training that runs' ],
	[ qr/moemlora\.decisions/, qr/^ctr\|2\|t\|$date\|promoted\|option promote is "always"\z/, "tonight's decision" ],
	[ qr/'2 days'/, qr/^left behind\|$date\z/, 'the model that no training has reached' ],
	[ qr/AS not_current/, qr/^ctr\|2\|$twice\|$once\nleft behind\|1\|$once\|\z/, 'sizes' ],
	[ qr/AS on_disk/, qr/^\d+ kB\z/, 'size of all' ],
	[
		qr/AS calibration/,
		qr/^(?:domain\|\w+\|1000\|0\.\d+\|\d\.\d\d\n){3}all\|\|3000\|0\.\d+\|\d\.\d\d\nmean\|.*\nweighted\|.*\z/,
		'the model on new rows'
	],
	[ qr/FROM pg_roles/, qr/^left behind\|leaving\z/, 'the owner who is gone' ],
	[ qr/NOT role_exists/, qr/^ctr\|leaving\z/, 'the grantee who is gone' ],
	[ qr/pg_cancel_backend/, qr/^ctr\|t\z/, 'the training is stopped' ]);
my @readme = readme('What to look at');

is(scalar(@readme), scalar(@queries), 'as many queries in the README as are known');
foreach my $case (@queries)
{
	my ($known_by, $answer, $name) = @$case;
	my @found = grep { /$known_by/ } @readme;

	is(scalar(@found), 1, "$name: one query");
	like(sql($node, $found[0]), $answer, $name);
}
$endless->wait;
like($endless->errors, qr/ERROR:  57014/, 'it has been stopped indeed');
is(sql($node, $_), '', 'nothing runs any more') foreach grep { /AS percent/ } @readme;
$endless->close;

# What pruning frees is what was said.
sql($node, q{SELECT moemlora_prune('ctr', 1)}, user => 'alice');
like(sql($node, $_), qr/^ctr\|1\|$once\|\n/m, 'after pruning') foreach grep { /AS not_current/ } @readme;

finish($node);
