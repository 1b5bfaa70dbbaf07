# Databases of one cluster know nothing of each other's models.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('two_databases', no_extension => 1);

# The same model of the same rows, but for the seed.
sub train
{
	my ($model, $options) = @_;

	return qq{SELECT count(*) FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "method": "backbone"}'::jsonb || '$options')};
}

my $predict = q{SELECT moemlora_predict('m', 'place 1', '{"user_id": 7}')};
my %seed = (one => 1, two => 2);

foreach my $db (sort keys %seed)
{
	sql($node, "CREATE DATABASE $db");
	sql($node, 'CREATE EXTENSION moemlora', db => $db);
	make_rows($node, 2000, db => $db);
}
sql($node, train('m', '{"seed": 1}'), db => 'one');
is(sql($node, 'SELECT count(*) FROM moemlora.models', db => 'two'), '0', 'the other database has no model');
refuses($node, $predict, '42704', qr/model "m" does not exist/, 'and scores with none', db => 'two');
sql($node, train('m', '{"seed": 2}'), db => 'two');
my %score = map { $_ => sql($node, $predict, db => $_) } keys %seed;

isnt($score{one}, $score{two}, 'models of one name are two models');

# A training in one does not lock the name in the other, nor does a drop touch it.
my $training = Moemlora::Session->new($node, db => 'one');
my $observer = Moemlora::Session->new($node, db => 'one');

$training->send(train('m', '{"epochs": 100000, "patience": 100000}'));
ok($observer->ask_until_true('SELECT count(*) = 1 FROM moemlora.progress WHERE step > 0'),
	'a training runs in one database');
is(sql($node, train('m', '{"seed": 3}'), db => 'two'), '1', 'the same name can be trained in the other');
sql($node, q{SELECT moemlora_drop('m')}, db => 'two');
is(sql($node, 'SELECT count(*) FROM moemlora.models', db => 'two'), '0', 'and be dropped there');
is(sql($node, $predict, db => 'one'), $score{one}, 'while the first database scores as before');
sql($node, 'SELECT pg_cancel_backend(' . $training->pid . ')');
$training->wait;
$_->close foreach $training, $observer;

# Models come along when a database is copied, and then go their own ways.
sql($node, 'CREATE DATABASE three TEMPLATE one');
is(sql($node, $predict, db => 'three'), $score{one}, 'a copied database has the models');
sql($node, train('m', '{"seed": 3}'), db => 'three');
isnt(sql($node, $predict, db => 'three'), $score{one}, 'and trains them on');
is(sql($node, $predict, db => 'one'), $score{one}, 'by itself');
sql($node, 'DROP DATABASE three');
is(sql($node, $predict, db => 'one'), $score{one}, 'and goes by itself');

finish($node);
