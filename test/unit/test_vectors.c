/*
 * test_vectors.c - vector features, whose width may be learned late; and what
 * rows of every kind refuse.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

static mml_rows *
create(const mml_field_spec *specs, int n)
{
	mml_config	config;
	mml_rows   *rows;

	mml_config_init(&config);
	config.validation = 0.0;
	config.embedding_dim = 4;
	unit_check(mml_rows_create_training(&unit.host, &config, specs, n, &rows) == MML_OK, "create: %s",
			   unit_error(&unit.host));
	return rows;
}

static mml_status
end_row(mml_rows *rows)
{
	mml_row_facts facts = {.label = 1.0,.weight = 1.0,.domain = "d",.domain_length = 1,.split = MML_SPLIT_TRAIN};

	return mml_rows_end_training(rows, &facts);
}

static const float *
vector_of(const mml_rows *rows, size_t row, int field)
{
	const float *page = mml_arena_at(&rows->arena, rows->vector_pages[row >> rows->row_shift]);

	return page + (row & (((size_t) 1 << rows->row_shift) - 1)) * rows->vector_words + rows->fields[field].vector_start;
}

/* --------------------------------------------------------------- late widths */

/* Feature f of row i is a vector from row `first` on, every third one NULL. */
static bool
has_vector(size_t i, int f)
{
	static const size_t first[] = {5000, 9001, 0};

	return i >= first[f] && (i == first[f] || i % 3 != (size_t) f);
}

static float
number_of(size_t i, int f, int j)
{
	return (float) (i * 10) + (float) f + 0.1f * (float) j;
}

/* Three features that show their width at rows 5000, 9001 and 0: pages of 4096 rows are laid out anew. */
static void
test_late_widths(void)
{
	static const size_t width[] = {2, 4, 3};
	mml_field_spec specs[] = {
		{.name = "a",.kind = MML_VECTOR,.project = true},
		{.name = "b",.kind = MML_VECTOR},
		{.name = "c",.kind = MML_VECTOR,.project = true},
	};
	mml_rows   *rows = create(specs, 3);
	size_t		n_wrong = 0;

	for (size_t i = 0; i < 10000; i++)
	{
		(void) mml_rows_begin(rows);
		for (int f = 2; f >= 0; f--)
		{
			float		numbers[4];

			for (int j = 0; j < 4; j++)
				numbers[j] = number_of(i, f, j);
			n_wrong += (has_vector(i, f) ? mml_put_vector(rows, f, numbers, width[f]) : mml_put_null(rows,
																									 f)) != MML_OK;
		}
		n_wrong += end_row(rows) != MML_OK;
	}
	unit_check(n_wrong == 0, "%zu vectors are refused: %s", n_wrong, unit_error(&unit.host));
	unit_check(mml_rows_finish(rows) == MML_OK, "finish: %s", unit_error(&unit.host));
	unit_check(rows->vector_words == 9, "%u numbers a row", rows->vector_words);
	for (size_t i = 0; i < 10000; i++)
		for (int f = 0; f < 3; f++)
			for (size_t j = 0; j < width[f]; j++)
				n_wrong += vector_of(rows, i, f)[j] != (has_vector(i, f) ? number_of(i, f, (int) j) : 0.0f);
	unit_check(n_wrong == 0, "%zu numbers are wrong", n_wrong);
	mml_rows_free(rows);
}

static void
test_widths(void)
{
	mml_field_spec specs[] = {
		{.name = "a",.kind = MML_VECTOR,.project = true,.width = 3},
		{.name = "b",.kind = MML_VECTOR},
		{.name = "c",.kind = MML_VECTOR,.project = true},
	};
	float		numbers[5] = {1, 2, 3, 4, 5};
	mml_rows   *rows = create(specs, 3);

	(void) mml_rows_begin(rows);
	unit_check(mml_put_vector(rows, 0, numbers, 2) == MML_BAD_DATA, "another width than given");
	unit_check(strcmp(unit_error(&unit.host), "vector feature \"a\" has length 2 instead of 3") == 0, "%s",
			   unit_error(&unit.host));
	unit_check(mml_put_vector(rows, 1, numbers, 5) == MML_BAD_DATA, "without projection the width is embedding_dim");
	unit_check(mml_put_vector(rows, 2, numbers, 0) != MML_OK, "no elements");
	unit_check(mml_put_vector(rows, 2, numbers, MML_MAX_WIDTH + 1) == MML_LIMIT, "too many elements");
	unit_check(mml_put_vector(rows, 1, numbers, 4) == MML_OK, "embedding_dim elements");
	mml_rows_free(rows);
	specs[1].width = 5;
	{
		mml_config	config;

		mml_config_init(&config);
		unit_check(mml_rows_create_training(&unit.host, &config, specs, 3, &rows) == MML_BAD_OPTION && rows == NULL,
				   "a given width that is not embedding_dim");
	}
	specs[1].width = 4;
	rows = create(specs, 3);
	(void) mml_rows_begin(rows);
	for (int f = 0; f < 3; f++)
		(void) mml_put_null(rows, f);
	(void) end_row(rows);
	unit_check(mml_rows_finish(rows) == MML_BAD_DATA, "a vector that is NULL in every row");
	unit_check(strstr(unit_error(&unit.host), "\"c\"") != NULL, "%s", unit_error(&unit.host));
	mml_rows_free(rows);
}

/* A row that is refused must not decide the width. */
static void
test_width_of_refused_row(void)
{
	mml_field_spec spec = {.name = "v",.kind = MML_VECTOR,.project = true};
	float		bad[3] = {1, NAN, 2};
	float		good[2] = {1, 2};
	mml_rows   *rows = create(&spec, 1);

	(void) mml_rows_begin(rows);
	unit_check(mml_put_vector(rows, 0, bad, 3) == MML_BAD_DATA, "NaN in a vector");
	(void) mml_rows_begin(rows);
	unit_check(mml_put_vector(rows, 0, good, 2) == MML_OK, "the first good vector decides: %s", unit_error(&unit.host));
	unit_check(end_row(rows) == MML_OK && mml_rows_finish(rows) == MML_OK && rows->vector_words == 2, "one row of 2");
	mml_rows_free(rows);
}

/* ------------------------------------------------------------------ refusals */

static mml_rows *
create_all_kinds(void)
{
	mml_field_spec specs[] = {
		{.name = "user",.kind = MML_CATEGORICAL},
		{.name = "price",.kind = MML_NUMERIC},
		{.name = "tags",.kind = MML_MULTI},
		{.name = "v",.kind = MML_VECTOR,.project = true,.width = 2},
	};

	return create(specs, 4);
}

static void
put_all(mml_rows *rows, double price)
{
	float		numbers[2] = {1, 2};

	(void) mml_put_integer(rows, 0, 5);
	(void) mml_put_real(rows, 1, price);
	(void) mml_put_items_begin(rows, 2);
	(void) mml_put_item_integer(rows, 2, 1);
	(void) mml_put_items_end(rows, 2);
	(void) mml_put_vector(rows, 3, numbers, 2);
}

static void
test_wrong_kinds(void)
{
	mml_rows   *rows = create_all_kinds();
	float		numbers[2] = {1, INFINITY};

	(void) mml_rows_begin(rows);
	unit_check(mml_put_real(rows, 0, 1.5) == MML_BAD_DATA, "a number for a category");
	unit_check(mml_put_items_begin(rows, 0) == MML_BAD_DATA, "a list for a category");
	unit_check(mml_put_vector(rows, 0, numbers, 2) == MML_BAD_DATA, "a vector for a category");
	unit_check(mml_put_text(rows, 1, "1", 1) == MML_BAD_DATA, "text for a number");
	unit_check(mml_put_items_begin(rows, 1) == MML_BAD_DATA, "a list for a number");
	unit_check(mml_put_integer(rows, 2, 1) == MML_BAD_DATA, "a number for a list");
	unit_check(mml_put_text(rows, 2, "1", 1) == MML_BAD_DATA, "text for a list");
	unit_check(mml_put_vector(rows, 2, numbers, 2) == MML_BAD_DATA, "a vector for a list");
	unit_check(mml_put_integer(rows, 3, 1) == MML_BAD_DATA, "a number for a vector");
	unit_check(mml_put_items_begin(rows, 3) == MML_BAD_DATA, "a list for a vector");
	unit_check(strstr(unit_error(&unit.host), "\"v\" is vector") != NULL, "the text says what: %s",
			   unit_error(&unit.host));
	unit_check(mml_put_real(rows, 1, NAN) == MML_BAD_DATA, "NaN");
	unit_check(mml_put_real(rows, 1, -INFINITY) == MML_BAD_DATA, "infinity");
	unit_check(mml_put_vector(rows, 3, numbers, 2) == MML_BAD_DATA, "infinity in a vector");
	mml_rows_free(rows);
}

static mml_status
end_with(mml_rows *rows, double label, double weight, const char *domain, size_t length)
{
	mml_row_facts facts = {.label = label,.weight = weight,.domain = domain,.domain_length = length};

	(void) mml_rows_begin(rows);
	put_all(rows, 3.0);
	return mml_rows_end_training(rows, &facts);
}

static void
test_wrong_facts(void)
{
	mml_rows   *rows = create_all_kinds();
	char		name[MML_MAX_NAME + 1];
	mml_row_facts timed = {.label = 1.0,.weight = 1.0,.has_time = true,.time = 3.0,.domain = "d",.domain_length = 1};

	memset(name, 'n', sizeof(name));
	unit_check(end_with(rows, 2.0, 1.0, "d", 1) == MML_BAD_DATA, "a label of 2");
	unit_check(end_with(rows, -0.001, 1.0, "d", 1) == MML_BAD_DATA, "a label below 0");
	unit_check(end_with(rows, NAN, 1.0, "d", 1) == MML_BAD_DATA, "a label that is NaN");
	unit_check(end_with(rows, 1.0, -1.0, "d", 1) == MML_BAD_DATA, "a weight below 0");
	unit_check(end_with(rows, 1.0, NAN, "d", 1) == MML_BAD_DATA, "a weight that is NaN");
	unit_check(end_with(rows, 1.0, 1e300, "d", 1) == MML_BAD_DATA, "a weight that no float holds");
	unit_check(end_with(rows, 1.0, 1.0, name, sizeof(name)) == MML_BAD_DATA, "a domain's name too long");
	unit_check(mml_rows_count(rows) == 0, "refused rows do not count");
	unit_check(mml_rows_finish(rows) == MML_BAD_DATA, "no rows");
	unit_check(end_with(rows, 0.5, 0.0, "d", 1) == MML_OK, "label 0.5, weight 0: %s", unit_error(&unit.host));
	(void) mml_rows_begin(rows);
	put_all(rows, 1.0);
	unit_check(mml_rows_end_training(rows, &timed) == MML_BAD_DATA, "a time where the first row had none");
	timed.has_time = false;
	(void) mml_rows_begin(rows);
	put_all(rows, 1.0);
	unit_check(mml_rows_end_training(rows, &timed) == MML_OK && mml_rows_count(rows) == 2, "none, as the first row");
	mml_rows_free(rows);
	rows = create_all_kinds();
	timed.has_time = true;
	timed.time = NAN;
	(void) mml_rows_begin(rows);
	put_all(rows, 1.0);
	unit_check(mml_rows_end_training(rows, &timed) == MML_BAD_DATA, "a time that is NaN");
	mml_rows_free(rows);
}

/* Refused rows between good ones: the set is as without them. */
static void
test_refused_rows_leave_nothing(void)
{
	mml_rows   *rows = create_all_kinds();
	mml_rows   *clean = create_all_kinds();

	for (int i = 0; i < 50; i++)
	{
		/* one that dies in the middle, one that dies at its end, with values that nobody else has */
		(void) mml_rows_begin(rows);
		(void) mml_put_integer(rows, 0, 1000 + i);
		(void) mml_put_items_begin(rows, 2);
		(void) mml_put_item_integer(rows, 2, 500 + i);
		(void) mml_put_real(rows, 1, NAN);
		unit_check(end_with(rows, 7.0, 1.0, "nobody's", 8) == MML_BAD_DATA, "a label of 7");
		unit_check(end_with(rows, i % 2, 1.0, "d", 1) == MML_OK && end_with(clean, i % 2, 1.0, "d", 1) == MML_OK,
				   "good rows");
	}
	unit_check(mml_rows_finish(rows) == MML_OK && mml_rows_finish(clean) == MML_OK, "finish: %s",
			   unit_error(&unit.host));
	unit_check(mml_rows_count(rows) == 50 && rows->names->n == 1, "50 rows, one domain");
	unit_check(rows->fields[0].table_rows == clean->fields[0].table_rows &&
			   rows->fields[2].table_rows == clean->fields[2].table_rows, "no values of refused rows");
	for (size_t i = 0; i < 50; i++)
		unit_check(memcmp(mml_rows_record(rows, i), mml_rows_record(clean, i), rows->row_words * sizeof(uint32_t)) == 0,
				   "row %zu is as without refused rows", i);
	mml_rows_free(rows);
	mml_rows_free(clean);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_late_widths();
	test_widths();
	test_width_of_refused_row();
	test_wrong_kinds();
	test_wrong_facts();
	test_refused_rows_leave_nothing();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
