# Moemlora::Session - a psql that stays connected and works beside the test.
#
#   my $session = Moemlora::Session->new($node, user => 'alice');
#   my $answer = $session->ask('SELECT 1');
#   my $complaints = $session->errors;          # of the last answer; errors('SELECT ...') asks first
#   $session->send('SELECT slow()');            # returns at once
#   ... $session->is_busy ...
#   my $answer = $session->wait;
#   $session->ask_until_true('SELECT is_there FROM somewhere') or die;
#   $session->close;
#
# Errors do not end it; they come with their SQLSTATE.

package Moemlora::Session;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Time::HiRes 'usleep';

# Options: db, user, notices.
sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { in => '', out => '', err => '', n_sent => 0 }, $class;
	my $limit = $PostgreSQL::Test::Utils::timeout_default // 180;

	local $ENV{PGUSER} = $options{user} // $ENV{PGUSER};
	delete $ENV{PGUSER} unless defined $ENV{PGUSER};
	local $ENV{PGOPTIONS} = '-c client_min_messages=' . ($options{notices} ? 'notice' : 'warning');
	$self->{timer} = IPC::Run::timeout($limit);
	$self->{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never',
			'-d', $node->connstr($options{db} // 'postgres'), '-f', '-'
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	$self->{pid} = $self->ask('SELECT pg_backend_pid()');
	return $self;
}

# Of the server's process.
sub pid
{
	my ($self) = @_;

	return $self->{pid};
}

# Hands over statements, each with its semicolon except the last.
sub send
{
	my ($self, $query) = @_;

	$self->{mark} = 'answer ' . ++$self->{n_sent} . ' ends';
	$self->{timer}->start;
	$self->{in} .= "$query;\n\\echo $self->{mark}\n\\warn $self->{mark}\n";
	$self->{run}->pump_nb while length $self->{in};
	return;
}

sub _has_answer
{
	my ($self) = @_;

	return $self->{out} =~ /^$self->{mark}$/m && $self->{err} =~ /^$self->{mark}$/m;
}

sub is_busy
{
	my ($self) = @_;

	$self->{run}->pump_nb;
	return !$self->_has_answer;
}

# What the statements printed.
sub wait
{
	my ($self) = @_;

	$self->{run}->pump until $self->_has_answer;
	my ($out, $err) = map { s/^$self->{mark}$//mr =~ s/\n+\z//r } ($self->{out}, $self->{err});

	$self->{out} = $self->{err} = '';
	$self->{errors} = $err;
	return $out;
}

sub ask
{
	my ($self, $query) = @_;

	$self->send($query);
	return $self->wait;
}

# Errors and warnings of the last answer, or of a query.
sub errors
{
	my ($self, $query) = @_;

	$self->ask($query) if defined $query;
	return $self->{errors};
}

# Asks again and again until the answer is "t"; false when it never is.
sub ask_until_true
{
	my ($self, $query) = @_;
	my $give_up = time + ($PostgreSQL::Test::Utils::timeout_default // 180);
	my $out;

	do
	{
		usleep(5000) if defined $out;
		$out = $self->ask($query);
		die $self->errors if $self->errors ne '';
	} until $out eq 't' || time > $give_up;
	return $out eq 't';
}

sub close
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

# For a session whose server is gone.
sub abandon
{
	my ($self) = @_;

	$self->{run}->kill_kill(grace => 1);
	return;
}

1;
