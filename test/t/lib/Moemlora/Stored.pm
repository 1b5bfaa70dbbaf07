# Moemlora::Stored - a model's stored bytes read anew, and its scores by plain
# loops: what moemlora_predict() must give when a row has these ids and numbers.
#
#   my $stored = Moemlora::Stored->new($node, 'm');
#   $stored->field('price')->{mean};
#   $stored->tensor('embedding.item');                  # rows of numbers
#   my $score = $stored->score('books', { item => 2, price => 9.5, tags => [0, 3] });
#
# A value: the id of a category, a number, a list of ids, a vector.  A feature
# that is left out is NULL.  Backbones mlp and wdl, all modes and gates.
# Format: trainer/serialize.c.

package Moemlora::Stored;

use strict;
use warnings;

use List::Util qw(max sum0);
use Moemlora;

use constant { UNKNOWN => 0, NULL => 1, FIRST => 2 };

my @kinds = qw(categorical numeric multi vector);
my @modes = qw(backbone own gate);

# ---------------------------------------------------------------- reading

sub _take
{
	my ($self, $format, $bytes) = @_;
	my @values = unpack $format, substr $self->{bytes}, $self->{at}, $bytes;

	$self->{at} += $bytes;
	return wantarray ? @values : $values[0];
}

sub _text
{
	my ($self) = @_;
	my $length = $self->_take('V', 4);

	return $self->_take("a$length", $length);
}

sub _read_facts
{
	my ($self) = @_;

	$self->{mode} = $modes[ $self->_take('V', 4) ];
	$self->{n_experts} = $self->_take('V', 4);
	return;
}

sub _read_fields
{
	my ($self) = @_;

	foreach (1 .. $self->_take('V', 4))
	{
		my %field = (name => $self->_text, kind => $kinds[ $self->_take('V', 4) ]);

		@field{qw(log1p standardize project buckets width)} = $self->_take('V5', 20);
		my $n = $self->_take('V', 4);
		$field{boundaries} = [ $self->_take("d<$n", 8 * $n) ];
		@field{qw(mean inverse_std)} = $self->_take('d<2', 16);
		$field{n_values} = $self->_take('V', 4);
		$self->{at} += 8 * $field{n_values};
		push @{ $self->{fields} }, \%field;
	}
	return;
}

sub _read_domains
{
	my ($self) = @_;
	my $expert = 0;

	foreach my $id (1 .. $self->_take('V', 4))
	{
		my %domain = (id => $id, name => $self->_text);

		$self->{at} += 24;
		$domain{first_expert} = $expert if $self->_take('V', 4);
		$self->{at} += 24;
		$expert++ if defined $domain{first_expert};
		$self->{domains}{ $domain{name} } = \%domain;
	}
	$self->{per_domain} = $expert == 0 ? 0 : $self->{n_experts} / $expert;
	$_->{first_expert} *= $self->{per_domain} foreach grep { defined $_->{first_expert} } values %{ $self->{domains} };
	return;
}

# Tensors of features come in their order; the names of these are not written.
sub _read_tensors
{
	my ($self, $end) = @_;
	my @fields = (@{ $self->{fields} }, { name => 'domain', kind => 'categorical' });
	my $field = -1;

	while ($self->{at} < $end)
	{
		my $name = $self->_text;
		my ($rows, $cols) = $self->_take('Q<2', 16);
		my @values = $self->_take('f<' . $rows * $cols, 4 * $rows * $cols);

		if ($name =~ /^(?:embedding|projection)\.$/)
		{
			$field++;
			$field++ while $fields[$field]{kind} eq 'vector' && !$fields[$field]{project};
		}
		$name .= $fields[$field]{name} if $name =~ /^(?:embedding|linear|projection)\.$/;
		$self->{tensors}{$name} = [ map { [ @values[ $_ * $cols .. ($_ + 1) * $cols - 1 ] ] } 0 .. $rows - 1 ];
	}
	return;
}

sub new
{
	my ($class, $node, $model, %options) = @_;
	my $hex = sql($node, qq{
		SELECT string_agg(encode(c.data, 'hex'), '' ORDER BY c.part)
		FROM moemlora.model m
		JOIN moemlora.version v ON v.model_id = m.id AND v.number = m.current_version
		JOIN moemlora.component c ON c.version_id = v.id
		WHERE m.name = '$model'}, %options);
	my $self = bless { bytes => pack('H*', $hex), at => 12, fields => [], domains => {}, tensors => {} }, $class;
	my $n_sections = $self->_take('V', 4);
	my %read = (FACT => \&_read_facts, FIEL => \&_read_fields, DOMA => \&_read_domains, TENS => \&_read_tensors);

	$self->{at} += 8;
	foreach (1 .. $n_sections)
	{
		my ($tag, undef, $length) = $self->_take('a4 V Q< x8', 24);
		my $end = $self->{at} + $length;

		$read{$tag}->($self, $end) if $read{$tag};
		$self->{at} = $end;
	}
	return $self;
}

sub field
{
	my ($self, $name) = @_;
	my ($field) = grep { $_->{name} eq $name } @{ $self->{fields} };

	return $field;
}

sub tensor
{
	my ($self, $name) = @_;

	return $self->{tensors}{$name};
}

# ---------------------------------------------------------------- scoring

# Sum of the rows of a matrix, each times its number.
sub _combine
{
	my ($numbers, $matrix) = @_;
	my @out = (0) x @{ $matrix->[0] };

	foreach my $i (0 .. $#$numbers)
	{
		$out[$_] += $numbers->[$i] * $matrix->[$i][$_] foreach 0 .. $#out;
	}
	return @out;
}

sub _mean_of
{
	my @rows = @_;

	return _combine([ (1 / @rows) x @rows ], \@rows);
}

# What a feature adds to x and to the linear terms: for each of the two tensors, the rows that count, and how much.
sub _enter
{
	my ($self, $field, $value) = @_;
	my ($embedding, $linear) = map { $self->tensor("$_.$field->{name}") } qw(embedding linear);
	my @zeros = (0) x @{ $self->tensor('embedding.domain')->[0] };

	if ($field->{kind} eq 'categorical')
	{
		my $id = $value // NULL;

		return ($embedding->[$id], $linear ? $linear->[$id][0] : 0);
	}
	if ($field->{kind} eq 'numeric')
	{
		$value = ($value < 0 ? -1 : 1) * log(1 + abs $value) if $field->{log1p} && defined $value;
		my $z = defined $value ? ($value - $field->{mean}) * $field->{inverse_std} : 0;

		return ([ map { $z * $_ } @{ $embedding->[0] } ], $linear ? $z * $linear->[0][0] : 0);
	}
	return (\@zeros, 0) if !defined $value || !@$value;
	return $field->{project} ? ([ _combine($value, $self->tensor("projection.$field->{name}")) ], 0) : ($value, 0)
	  if $field->{kind} eq 'vector';
	return ([ _mean_of(@$embedding[@$value]) ], $linear ? (_mean_of(@$linear[@$value]))[0] : 0);
}

# x, and the sum of the linear terms.
sub _input
{
	my ($self, $domain, $values) = @_;
	my ($embedding, $linear) = map { $self->tensor("$_.domain") } qw(embedding linear);
	my (@x, $s);

	foreach my $field (@{ $self->{fields} })
	{
		my ($v, $term) = $self->_enter($field, $values->{ $field->{name} });

		push @x, @$v;
		$s += $term;
	}
	if ($domain eq 'mean')
	{
		push @x, _mean_of(@$embedding[ 1 .. $#$embedding ]);
		$s += (_mean_of(@$linear[ 1 .. $#$linear ]))[0] if $linear;
	}
	else
	{
		push @x, @{ $embedding->[$domain] };
		$s += $linear->[$domain][0] if $linear;
	}
	return (\@x, $s);
}

sub _softmax
{
	my @e = map { exp($_ - max(@_)) } @_;

	return map { $_ / sum0(@e) } @e;
}

# g: the weights of the experts.
sub _weights
{
	my ($self, $domain, $first, $x) = @_;
	my ($n, $k) = @$self{qw(n_experts per_domain)};

	return (1 / $n) x $n if $domain eq 'mean' && $n > 0 && $self->{mode} ne 'backbone';
	return (0) x $n if !defined $first || $self->{mode} eq 'backbone';
	return map { $_ >= $first && $_ < $first + $k ? 1 / $k : 0 } 0 .. $n - 1 if $self->{mode} eq 'own';
	return _softmax(@{ $self->tensor('gate.domain')->[ $first / $k ] }) if $self->tensor('gate.domain');
	my @logits = _combine($x, $self->tensor('gate.input.weight'));
	return _softmax(map { $logits[$_] + $self->tensor('gate.input.bias')->[0][$_] } 0 .. $n - 1);
}

# relu(h W + c + sum of g_e [(h down_e) up_e + bias_e])
sub _layer
{
	my ($self, $l, $h, @g) = @_;
	my @out = _combine($h, $self->tensor("tower.$l.weight"));
	my ($down, $up, $bias) = map { $self->tensor("expert.tower.$l.$_") } qw(down up bias);
	my @low = $down ? _combine($h, $down) : ();

	$out[$_] += $self->tensor("tower.$l.bias")->[0][$_] foreach 0 .. $#out;
	foreach my $e (grep { $g[$_] != 0 } 0 .. $#g)
	{
		my $r = @low / @g;
		my @high = _combine([ @low[ $e * $r .. ($e + 1) * $r - 1 ] ], [ @$up[ $e * $r .. ($e + 1) * $r - 1 ] ]);

		$out[$_] += $g[$e] * ($high[$_] + $bias->[$e][$_]) foreach 0 .. $#out;
	}
	return map { max(0, $_) } @out;
}

# The probability.  Domain: a known name; else 'mean' as option unknown_domain
# has it, or anything else for an unknown one without experts.
sub score
{
	my ($self, $name, $values) = @_;
	my $known = $self->{domains}{$name};
	my $domain = $known ? $known->{id} : $name eq 'mean' ? 'mean' : 0;
	my ($x, $logit) = $self->_input($domain, $values);
	my @g = $self->_weights($domain, $known && $known->{first_expert}, $x);
	my @h = @$x;

	for (my $l = 0; $self->tensor("tower.$l.weight"); $l++)
	{
		@h = $self->_layer($l, \@h, @g);
	}
	$logit += $self->tensor('bias')->[0][0] + (_combine(\@h, $self->tensor('head.weight')))[0];
	return 1 / (1 + exp -$logit);
}

1;
