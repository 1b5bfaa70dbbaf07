# The test modules of PostgreSQL 14 by the names that they have had since 15.
package PostgreSQL::Test::Cluster;

use strict;
use warnings;

use PostgresNode ();

sub new
{
	my ($class, $name, @options) = @_;

	return PostgresNode->get_new_node($name, @options);
}

1;
