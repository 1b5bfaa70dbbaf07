/*
 * test_backbones.c - what backbones declare: numbers of parameters, as MODELS.md
 * section 4 gives them, names and shapes, initial values; and the sizes that
 * cannot be.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

/* MovieLens by gender: F = 3 categorical fields, domain among them, no reserved rows; d = 8. */
static const mml_layout movielens[] = {
	{.kind = MML_CATEGORICAL,.table_rows = 6041},
	{.kind = MML_CATEGORICAL,.table_rows = 3953},
	{.kind = MML_CATEGORICAL,.table_rows = 2,.is_domain = 1},
};

static const mml_field fields[] = {{.name = "user"}, {.name = "item"}, {.name = "domain"}};

static void
open_config(mml_config *config, const char *backbone)
{
	mml_config_init(config);
	config->backbone = mml_backbone_find(backbone);
}

static mml_params *
declare(const mml_config *config, int n_experts)
{
	mml_shape	shape;
	mml_params *params = NULL;

	unit_check(mml_config_check(&unit.host, config) == MML_OK, "check: %s", unit_error(&unit.host));
	mml_shape_init(&shape, config, 3, n_experts, false, false);
	unit_check(mml_params_declare(&unit.host, &shape, movielens, &params) == MML_OK, "declare");
	return params;
}

/* -------------------------------------------------------------------- counts */

static void
check_count(const char *backbone, uint64_t expected, int lora_reduce, uint64_t of_expert)
{
	mml_config	config;
	mml_params *params;

	open_config(&config, backbone);
	config.lora_reduce = lora_reduce;
	params = declare(&config, 1);
	unit_check(mml_params_count(params, MML_GROUP_TABLE | MML_GROUP_BASE) == expected,
			   "%s has %llu parameters, not %llu", backbone,
			   (unsigned long long) mml_params_count(params, MML_GROUP_TABLE | MML_GROUP_BASE),
			   (unsigned long long) expected);
	if (of_expert > 0)
		unit_check(mml_params_count(params, MML_GROUP_EXPERT) == of_expert, "an expert of %s has %llu, not %llu", backbone,
				   (unsigned long long) mml_params_count(params, MML_GROUP_EXPERT), (unsigned long long) of_expert);
	mml_params_free(&unit.host, params);
}

static void
test_counts(void)
{
	check_count("mlp", 127585, 16, 0);
	check_count("wdl", 137581, 16, 8768);
	check_count("deepfm", 137581, 32, 4608);
	check_count("autoint", 146893, 4, 33728);
	check_count("dcn", 137701, 16, 0);
	check_count("xdeepfm", 163758, 16, 0);
	check_count("nfm", 133485, 4, 32704);
	check_count("pnn", 128353, 16, 8816);
	check_count("fibinet", 144115, 32, 4800);
}

/* ------------------------------------------------------------------- initial */

/* A tensor's smallest, largest and mean square; false when there is none of that shape. */
static bool
ask(const mml_params *params, const mml_arena *arena, const char *name, size_t rows, size_t cols,
	double *largest, double *mean_square)
{
	mml_tensor_view view;

	*largest = *mean_square = 0.0;
	if (!unit_check(mml_params_view(params, arena, fields, name, false, &view), "no tensor %s", name))
		return false;
	for (size_t i = 0; i < view.rows; i++)
		for (size_t j = 0; j < view.cols; j++)
		{
			double		x = view.values[i * view.stride + j];

			*largest = fmax(*largest, fabs(x));
			*mean_square += x * x / (double) (view.rows * view.cols);
		}
	return unit_check(view.rows == rows && view.cols == cols, "%s is %zu x %zu, not %zu x %zu", name, view.rows,
					  view.cols, rows, cols);
}

/* Standard deviation and largest number of a tensor; 0: it starts at 0. */
static void
check_initial(const char *backbone, const char *name, size_t rows, size_t cols, double deviation, double limit)
{
	mml_config	config;
	mml_arena	arena;
	mml_params *params;
	double		largest;
	double		mean_square;

	open_config(&config, backbone);
	params = declare(&config, 0);
	mml_arena_init(&arena, &unit.host);
	unit_check(mml_params_allocate(params, &arena, MML_STATE_VALUE) == MML_OK &&
			   mml_params_initialize(&unit.host, params, &arena, 5, MML_GROUP_ALL, 0.5) == MML_OK, "initialize");
	if (ask(params, &arena, name, rows, cols, &largest, &mean_square))
	{
		/* the deviation of n numbers is off by about 1 / sqrt(2 n) */
		unit_check(fabs(sqrt(mean_square) - deviation) <= 4.0 * deviation / sqrt(2.0 * (double) (rows * cols)),
				   "%s: deviation %g, not %g", name, sqrt(mean_square), deviation);
		unit_check(largest <= limit, "%s: %g is beyond %g", name, largest, limit);
	}
	mml_arena_free(&arena);
	mml_params_free(&unit.host, params);
}

static void
test_initial_values(void)
{
	/* a normal number cut at 2 deviations has .8796 of the deviation */
	static const double cut = 0.05 * 0.87962566;

	check_initial("dcn", "cross.1.weight", 24, 1, sqrt(2.0 / 25), INFINITY);
	check_initial("dcn", "cross.1.bias", 1, 24, 0.0, 0.0);
	check_initial("dcn", "head.weight", 24 + 64, 1, sqrt(2.0 / 89), INFINITY);
	check_initial("autoint", "attention.0.query", 8, 32, cut, 0.1);
	check_initial("autoint", "attention.2.key", 32, 32, cut, 0.1);
	check_initial("autoint", "attention.1.value", 32, 32, cut, 0.1);
	check_initial("autoint", "attention.1.residual", 32, 32, cut, 0.1);
	check_initial("autoint", "head.weight", 96 + 64, 1, sqrt(2.0 / 161), INFINITY);
	check_initial("xdeepfm", "cin.0.filter", 9, 128, sqrt(2.0 / 137), sqrt(6.0 / 137));
	check_initial("xdeepfm", "cin.1.filter", 3 * 64, 128, sqrt(2.0 / 320), sqrt(6.0 / 320));
	check_initial("xdeepfm", "cin.1.bias", 1, 128, 0.0, 0.0);
	check_initial("xdeepfm", "cin.head.weight", 64 + 128, 1, sqrt(2.0 / 193), INFINITY);
	check_initial("xdeepfm", "cin.head.bias", 1, 1, 0.0, 0.0);
	check_initial("fibinet", "senet.squeeze", 3, 1, sqrt(2.0 / 4), INFINITY);
	check_initial("fibinet", "senet.excite", 1, 3, sqrt(2.0 / 4), INFINITY);
	check_initial("fibinet", "bilinear.senet", 3 * 8, 8, sqrt(2.0 / 16), INFINITY);
	check_initial("fibinet", "bilinear.raw", 3 * 8, 8, sqrt(2.0 / 16), INFINITY);
	check_initial("nfm", "tower.0.weight", 8, 256, sqrt(2.0 / 264), INFINITY);
	check_initial("pnn", "tower.0.weight", 24 + 3, 256, sqrt(2.0 / 283), INFINITY);
}

/* Names that no tensor has, or that belong to no part. */
static void
test_names(void)
{
	static const char *const wrong[] = {
		"attention.0.", "attention.3.query", "attention.query", "attention..query", "query",
		"attention.0.query.query", "tower.0.weight.query", "cross.0.weight", "expert.0.attention.0"
	};
	mml_config	config;
	mml_arena	arena;
	mml_params *params;
	mml_tensor_view view;

	open_config(&config, "autoint");
	params = declare(&config, 2);
	mml_arena_init(&arena, &unit.host);
	unit_check(mml_params_allocate(params, &arena, MML_STATE_VALUE) == MML_OK, "allocate");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		unit_check(!mml_params_view(params, &arena, fields, wrong[i], false, &view), "\"%s\" is taken", wrong[i]);
	mml_arena_free(&arena);
	mml_params_free(&unit.host, params);
}

/* --------------------------------------------------------------------- sizes */

static void
check_cin(bool is_right, int n, int first, int second, int third)
{
	mml_config	config;
	mml_status	status;

	open_config(&config, "xdeepfm");
	config.n_cin = n;
	config.cin[0] = first;
	config.cin[1] = second;
	config.cin[2] = third;
	status = mml_config_check(&unit.host, &config);
	unit_check((status == MML_OK) == is_right, "cin %d, %d, %d of %d: status %d", first, second, third, n, status);
	unit_check(is_right || strstr(unit_error(&unit.host), "option \"cin\" but the last must be even") != NULL,
			   "cin: says \"%s\"", unit_error(&unit.host));
	config.backbone = mml_backbone_find("wdl");
	unit_check(mml_config_check(&unit.host, &config) == MML_OK, "wdl does not care for cin");
}

static void
check_fields(bool is_right, const char *backbone, int n_fields)
{
	mml_config	config;
	mml_status	status;

	open_config(&config, backbone);
	status = mml_shape_check(&unit.host, &config, n_fields);
	unit_check(status == (is_right ? MML_OK : MML_LIMIT), "%s with %d fields: status %d", backbone, n_fields, status);
	unit_check(is_right || strstr(unit_error(&unit.host), backbone) != NULL, "%s: says \"%s\"", backbone,
			   unit_error(&unit.host));
}

static void
test_sizes(void)
{
	check_cin(true, 1, 7, 0, 0);
	check_cin(true, 3, 6, 4, 5);
	check_cin(false, 2, 5, 4, 0);
	check_cin(false, 3, 6, 3, 4);
	check_fields(true, "wdl", 65536);
	check_fields(true, "pnn", 5000);
	check_fields(false, "pnn", 6000);
	check_fields(true, "fibinet", 1400);
	check_fields(false, "fibinet", 1500);
	check_fields(false, "fibinet", 65536);
	check_fields(true, "nfm", 65536);
	check_fields(true, "autoint", 65536);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_counts();
	test_initial_values();
	test_names();
	test_sizes();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
