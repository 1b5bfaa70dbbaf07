/*
 * unit.c - the harness of the unit tests.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"

static long n_passed;
static long n_failed;
static bool is_expecting;		/* failures */
static long n_expected;
static char first_expected[512];

static void *
take(void *self, size_t bytes)
{
	unit_host  *unit = self;
	void	   *memory;

	unit->n_allocations++;
	if (unit->fails_at > 0 && unit->n_allocations >= unit->fails_at)
	{
		if (unit->jump != NULL)
			longjmp(*unit->jump, 1);
		return NULL;
	}
	memory = malloc(bytes);
	unit->n_held += memory != NULL;
	if (unit->host.memory_used + bytes > unit->most_used)
		unit->most_used = unit->host.memory_used + bytes;
	return memory;
}

static void
give_back(void *self, void *memory)
{
	unit_host  *unit = self;

	unit->n_held--;
	free(memory);
}

static bool
poll_host(void *self)
{
	unit_host  *unit = self;

	bool		stops = unit->stops || (unit->stops_at > 0 && unit->n_polls + 1 >= unit->stops_at);

	unit->n_polls++;
	if (stops && unit->jump != NULL)
		longjmp(*unit->jump, 1);
	return stops;
}

static double
clock_seconds(void *self)
{
	struct timespec now;

	(void) self;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static void
count_epoch(void *self, const mml_epoch *epoch)
{
	unit_host  *unit = self;

	unit->n_epochs += !epoch->is_running;
}

void
unit_host_init(unit_host *unit)
{
	memset(unit, 0, sizeof(*unit));
	unit->host.self = unit;
	unit->host.allocate = take;
	unit->host.release = give_back;
	unit->host.poll = poll_host;
	unit->host.seconds = clock_seconds;
	unit->host.report = count_epoch;
}

bool
unit_check(bool is_ok, const char *format, ...)
{
	va_list		arguments;

	if (is_expecting)
	{
		va_start(arguments, format);
		if (!is_ok && n_expected++ == 0)
			vsnprintf(first_expected, sizeof(first_expected), format, arguments);
		va_end(arguments);
		return is_ok;
	}
	n_passed += is_ok;
	n_failed += !is_ok;
	if (is_ok)
		return true;
	fputs("FAILED: ", stdout);
	va_start(arguments, format);
	vfprintf(stdout, format, arguments);
	va_end(arguments);
	fputc('\n', stdout);
	return false;
}

bool
unit_close(double a, double b, double tolerance, const char *what)
{
	return unit_check(fabs(a - b) <= tolerance * fmax(1.0, fabs(b)), "%s: %.9g instead of %.9g", what, a, b);
}

void
unit_expect_begin(void)
{
	is_expecting = true;
	n_expected = 0;
	first_expected[0] = '\0';
}

long
unit_expect_end(char *text, size_t size)
{
	is_expecting = false;
	snprintf(text, size, "%s", first_expected);
	return n_expected;
}

int
unit_done(void)
{
	printf("%ld passed, %ld failed\n", n_passed, n_failed);
	return n_failed > 0;
}

const char *
unit_error(const mml_host *host)
{
	return host->error.message;
}
