# The test modules of PostgreSQL 14 by the names that they have had since 15.
package PostgreSQL::Test::Utils;

use strict;
use warnings;

use Exporter 'import';
use TestLib;

our @EXPORT = @TestLib::EXPORT;

1;
