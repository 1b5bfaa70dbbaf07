# Moemlora::Cancel - cancels trainings at chosen moments and measures how long
# it takes from the cancel until the session is ready for the next statement.
#
# The clock is the server's, at both ends: cancel_when() says when it cancelled,
# and the training session asks for the time right after its error.

package Moemlora::Cancel;

use strict;
use warnings;

use Exporter 'import';
use Moemlora;
use Moemlora::Session;
use Test::More;

our @EXPORT = qw(prepare_cancels cancel_often time_out_often in_phase);

# What a single cancel, and the median of a series, may take: milliseconds.
# The promise is 100; a single one may meet a busy machine.
use constant {
	SINGLE_LIMIT => 500,
	MEDIAN_LIMIT => 100,
	SERIES => 9,
	ATTEMPTS => 40,
};

sub prepare_cancels
{
	my ($node) = @_;

	# `moment`: a condition on $1, the process.  The snapshot of
	# pg_stat_activity lives as long as the transaction, unless it is cleared.
	return sql(
		$node, q{
		CREATE FUNCTION cancel_when(pid int, moment text, delay float8, OUT cancelled_at float8, OUT is_moment boolean)
		LANGUAGE plpgsql AS $$
		DECLARE
			give_up timestamptz := clock_timestamp() + interval '60 s';
		BEGIN
			LOOP
				PERFORM pg_stat_clear_snapshot();
				EXECUTE 'SELECT ' || moment USING pid INTO is_moment;
				EXIT WHEN is_moment OR clock_timestamp() > give_up;
				PERFORM pg_sleep(0.001);
			END LOOP;
			PERFORM pg_sleep(delay);
			PERFORM pg_stat_clear_snapshot();
			EXECUTE 'SELECT ' || moment USING pid INTO is_moment;
			cancelled_at := extract(epoch FROM clock_timestamp());
			PERFORM pg_cancel_backend(pid);
		END $$;
	});
}

# The condition that the training is in a phase.
sub in_phase
{
	my ($phase) = @_;

	return "EXISTS (SELECT FROM moemlora.progress WHERE pid = \$1 AND phase = '$phase')";
}

# One test: cancels a training, again and again, up to `within` seconds after
# the moment has come, and looks each time whether anything was stored.  There
# must be no models before.  before: a statement to run before each training.
sub cancel_often
{
	my ($node, $training, $moment, %options) = @_;
	my $session = Moemlora::Session->new($node);
	my $canceller = Moemlora::Session->new($node);
	my @milliseconds;
	my $n_attempts = 0;
	my $n_stored = 0;

	while (@milliseconds < SERIES && $n_attempts++ < ATTEMPTS)
	{
		# Evenly over the time allowed, in an order that looks random.
		my $delay = $options{within} * (($n_attempts * 0.618034) - int($n_attempts * 0.618034));

		sql($node, $options{before}) if defined $options{before};
		$session->send("$training; SELECT extract(epoch FROM clock_timestamp())");
		my $answer = $canceller->ask("SELECT cancelled_at, is_moment FROM cancel_when("
			  . $session->pid . ", \$q\$$moment\$q\$, $delay)");
		my $out = $session->wait;
		my ($cancelled_at, $is_moment) = split /\|/, $answer;
		my ($ended_at) = $out =~ /([0-9.]+)\z/;

		# Too late: the training had ended, and the cancel met nothing or the clock.
		if ($session->errors eq '' || !defined $ended_at)
		{
			forget($node);
			next;
		}
		die $session->errors unless $session->errors =~ /ERROR:  57014/;
		$n_stored += stored($node);
		push @milliseconds, 1000 * ($ended_at - $cancelled_at) if $is_moment eq 't';
	}
	$session->close;
	$canceller->close;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return judge($options{name}, \@milliseconds, $n_attempts, $n_stored);
}

# One test: the same with statement_timeout, all over a training that takes so many seconds.
sub time_out_often
{
	my ($node, $training, $seconds, $name) = @_;
	my $session = Moemlora::Session->new($node);
	my @milliseconds;
	my $n_attempts = 0;
	my $n_stored = 0;

	while (@milliseconds < 15 && $n_attempts++ < ATTEMPTS)
	{
		my $timeout = int(900 * $seconds * (($n_attempts * 0.618034) - int($n_attempts * 0.618034))) + 1;
		my $out = $session->ask(qq{
			SET statement_timeout = $timeout;
			SELECT clock_timestamp() AS began \\gset
			$training;
			RESET statement_timeout;
			SELECT 1000 * extract(epoch FROM clock_timestamp() - :'began'::timestamptz) - $timeout});

		if ($session->errors eq '')
		{
			forget($node);
			next;
		}
		die $session->errors unless $session->errors =~ /ERROR:  57014: canceling statement due to statement timeout/;
		$n_stored += stored($node);
		push @milliseconds, $out;
	}
	$session->close;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return judge($name, \@milliseconds, $n_attempts, $n_stored);
}

# Models and versions that there are.
sub stored
{
	my ($node) = @_;

	return sql($node, 'SELECT (SELECT count(*) FROM moemlora.model) + (SELECT count(*) FROM moemlora.version)');
}

sub forget
{
	my ($node) = @_;

	return sql($node, 'SELECT moemlora_drop(name) FROM moemlora.models');
}

# One test.
sub judge
{
	my ($name, $milliseconds, $n_attempts, $n_stored) = @_;
	my @sorted = sort { $a <=> $b } @$milliseconds;

	if (@sorted < SERIES)
	{
		fail($name);
		diag(sprintf 'met the moment %d times in %d trainings', scalar @sorted, $n_attempts);
		return;
	}
	my $median = $sorted[ $#sorted / 2 ];
	my $figures = sprintf '%s: median %.1f ms, longest %.1f ms of %d', $name, $median, $sorted[-1], scalar @sorted;

	note($figures);
	ok($median <= MEDIAN_LIMIT && $sorted[-1] <= SINGLE_LIMIT && $n_stored == 0, $name)
	  or diag("$figures; $n_stored models and versions stored");
	return;
}

1;
