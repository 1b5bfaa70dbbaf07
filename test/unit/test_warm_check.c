/*
 * test_warm_check.c - what a warm start refuses: features and sizes that are
 * not those of the version before, with both values and what mends it; and
 * nothing else.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;
static unit_data data;
static unit_bytes bytes;		/* the version before */

static void
open_before(mml_config *config)
{
	unit_config_init(config);
	unit_data_init(&data);
	data.features = UNIT_ALL_KINDS | UNIT_AGE | UNIT_HASH;
	data.n_rows = 200;
	config->epochs = 1;
}

static void
train_before(mml_config *config)
{
	data.previous = NULL;
	unit_bytes_free(&bytes);
	unit_train_and_save(&unit, "before", config, &data, 1, &bytes);
	data.previous = &bytes;
}

static void
check_released(const char *what)
{
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

static void
check_error(const char *what, mml_status status, const char *message, const char *detail, const char *hint)
{
	const mml_error *error = &unit.host.error;

	unit_check(status == MML_BAD_OPTION, "%s: status %d", what, status);
	unit_check(strcmp(error->message, message) == 0, "%s: \"%s\"", what, error->message);
	unit_check(strcmp(error->detail, detail) == 0, "%s: \"%s\"", what, error->detail);
	unit_check(strcmp(error->hint, hint) == 0, "%s: \"%s\"", what, error->hint);
}

/* ---------------------------------------------------------------- features */

static const double other_ages[] = {9.0, 10.25, 12.0};

/* A change to one feature, and what is said of it. */
typedef struct feature_case
{
	int			feature;
	mml_field_spec spec;		/* without name */
	const char *name;
	const char *detail;
} feature_case;

static const feature_case feature_cases[] = {
	{1, {.kind = MML_NUMERIC}, "item", "It is numeric, there it is categorical."},
	{2, {.kind = MML_CATEGORICAL}, "price", "It is categorical, there it is numeric."},
	{3, {.kind = MML_CATEGORICAL}, "tags", "It is categorical, there it is multi."},
	{4, {.kind = MML_MULTI}, "picture", "It is multi, there it is vector."},
	{0, {.kind = MML_CATEGORICAL}, "user", "It is not hashed, there it is hashed into 16 buckets."},
	{0, {.kind = MML_CATEGORICAL,.hash_buckets = 17}, "user", "It is hashed into 17 buckets, there it is hashed into 16 buckets."},
	{1, {.kind = MML_CATEGORICAL,.hash_buckets = 3}, "item", "It is hashed into 3 buckets, there it is not hashed."},
	{2, {.kind = MML_NUMERIC,.standardize = true,.log1p = true}, "price", "It is transformed by log1p, there it is not transformed."},
	{2, {.kind = MML_NUMERIC}, "price", "It is not standardized, there it is standardized."},
	{4, {.kind = MML_VECTOR,.width = 4}, "picture", "It is not projected, there it is projected."},
	{4, {.kind = MML_VECTOR,.project = true,.width = 4}, "picture", "It is of length 4, there it is of length 3."},
	{5, {.kind = MML_CATEGORICAL}, "age", "It is not in buckets, there it is in buckets with 3 boundaries."},
	{5, {.kind = MML_CATEGORICAL,.boundaries = other_ages,.n_boundaries = 2}, "age",
		"It is in buckets with 2 boundaries, there it is in buckets with 3 boundaries."},
	{5, {.kind = MML_CATEGORICAL,.boundaries = other_ages,.n_boundaries = 3}, "age",
		"It is in buckets whose boundary 2 is 10.25, there it is in buckets whose boundary 2 is 10.5."},
};

/* Makes rows of such features that start from the version before. */
static mml_status
start(const mml_field_spec *specs, int n_specs, const mml_config *config)
{
	mml_rows   *rows;
	mml_model  *before;
	mml_status	status = mml_rows_create_training(&unit.host, config, specs, n_specs, &rows);

	if (status == MML_OK)
		status = unit_load(&unit.host, &bytes, &before);
	if (status == MML_OK)
		status = mml_rows_start_from(rows, before, 3);
	mml_rows_free(rows);
	return status;
}

static void
test_features(void)
{
	mml_field_spec specs[UNIT_MAX_FEATURES];
	mml_config	config;
	int			n;

	open_before(&config);
	train_before(&config);
	n = unit_specs(&data, specs);
	unit_check(start(specs, n, &config) == MML_OK, "the same features: %s", unit_error(&unit.host));
	specs[4].width = 3;
	unit_check(start(specs, n, &config) == MML_OK, "the same width: %s", unit_error(&unit.host));
	for (size_t i = 0; i < sizeof(feature_cases) / sizeof(feature_cases[0]); i++)
	{
		const feature_case *of = &feature_cases[i];
		char		message[100];

		(void) unit_specs(&data, specs);
		specs[of->feature] = of->spec;
		specs[of->feature].name = of->name;
		snprintf(message, sizeof(message), "cannot start from version 3: feature \"%s\" differs", of->name);
		check_error(of->detail, start(specs, n, &config), message, of->detail,
					"Describe the feature as before, or train without \"warm_start\".");
	}
	check_released("features");
}

static void
test_names(void)
{
	static const char *const same_hint = "Give the same features, or train without \"warm_start\".";
	mml_field_spec specs[UNIT_MAX_FEATURES + 1];
	mml_config	config;
	mml_field_spec held;
	int			n;

	open_before(&config);
	n = unit_specs(&data, specs);
	specs[n] = (mml_field_spec) {.name = "brand",.kind = MML_CATEGORICAL};
	check_error("one more", start(specs, n + 1, &config), "cannot start from version 3: feature \"brand\" is new",
				"That version does not have it.", same_hint);
	check_error("one less", start(specs, n - 1, &config), "cannot start from version 3: feature \"age\" is missing",
				"That version has it.", same_hint);
	check_error("the first is missing", start(specs + 1, n - 1, &config),
				"cannot start from version 3: feature \"user\" is missing", "That version has it.", same_hint);
	specs[1].name = "thing";
	check_error("another name", start(specs, n, &config), "cannot start from version 3: feature \"thing\" is new",
				"That version does not have it.", same_hint);
	(void) unit_specs(&data, specs);
	held = specs[0];
	specs[0] = specs[3];
	specs[3] = held;
	check_error("another order", start(specs, n, &config), "cannot start from version 3: the features are in another order",
				"Feature 1 is \"tags\", there it is \"user\".",
				"List the features in the order of that version, or train without \"warm_start\".");
	check_released("names");
}

/* Vectors of another length are met in the rows. */
static void
test_width(void)
{
	static const float numbers[4] = {1.0f, 2.0f, 3.0f, 4.0f};
	mml_config	config;
	mml_rows   *rows;

	open_before(&config);
	data.previous = &bytes;
	unit_check(unit_open_rows(&unit.host, &config, &data, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	unit_check(mml_rows_begin(rows) == MML_OK && mml_put_vector(rows, 4, numbers, 4) == MML_BAD_DATA, "length 4");
	unit_check(strcmp(unit_error(&unit.host), "vector feature \"picture\" has length 4 instead of 3") == 0, "\"%s\"",
			   unit_error(&unit.host));
	unit_check(strcmp(unit.host.error.hint,
					  "Give vectors as long as those of version 3, or train without \"warm_start\".") == 0, "\"%s\"",
			   unit.host.error.hint);
	unit_check(mml_put_vector(rows, 4, numbers, 3) == MML_OK, "length 3: %s", unit_error(&unit.host));
	mml_rows_free(rows);
	data.previous = NULL;
	unit_check(unit_open_rows(&unit.host, &config, &data, &rows) == MML_OK && mml_rows_begin(rows) == MML_OK &&
			   mml_put_vector(rows, 4, numbers, 3) == MML_OK && mml_put_vector(rows, 4, numbers, 4) == MML_BAD_DATA &&
			   unit.host.error.hint[0] == '\0', "without a warm start there is no such hint");
	mml_rows_free(rows);
	check_released("width");
}

/* ------------------------------------------------------------------- options */

/* An option of the version before, one of now, and what is said; NULL: nothing. */
typedef struct option_case
{
	const char *before;
	const char *before_value;
	const char *now;
	const char *now_value;
	const char *what;
	const char *detail;
	const char *way;
} option_case;

static const option_case option_cases[] = {
	{"backbone", "wdl", "backbone", "mlp", "option \"backbone\" differs", "It is \"mlp\", there it is \"wdl\".",
	"Give \"backbone\": \"wdl\""},
	{"embedding_dim", "4", "embedding_dim", "5", "option \"embedding_dim\" differs", "It is 5, there it is 4.",
	"Give \"embedding_dim\": 4"},
	{"hidden", "8", "hidden", "9", "option \"hidden\" differs", "It is [9], there it is [8].", "Give \"hidden\": [8]"},
	{"hidden", "8", "embedding_dim", "4", "option \"hidden\" differs", "It is [8,4], there it is [8].",
	"Give \"hidden\": [8]"},
	{"experts_per_domain", "2", "epochs", "1", "option \"experts_per_domain\" differs", "It is 1, there it is 2.",
	"Give \"experts_per_domain\": 2"},
	{"lora_reduce", "4", "epochs", "1", "the experts' ranks differ", "In tower layer 0 the rank is 4, there it is 2.",
	"Give \"lora_reduce\": 4"},
	{"lora_rank", "3", "epochs", "1", "the experts' ranks differ", "In tower layer 0 the rank is 4, there it is 3.",
	"Give \"lora_rank\": 3"},
	{"lora_rank", "4", "epochs", "1", "the experts' ranks differ", "In tower layer 1 the rank is 2, there it is 4.",
	"Give \"lora_rank\": 4"},
	{"epochs", "1", "lora_rank", "1", "the experts' ranks differ", "In tower layer 0 the rank is 1, there it is 4.",
	"Give \"lora_reduce\": 2"},
	{"lora_reduce", "0", "lora_rank", "2", "the experts' ranks differ", "In tower layer 0 the rank is 2, there it is 1.",
	"Leave out \"lora_rank\" and \"lora_reduce\""},
	{"lora_reduce", "0", "lora_rank", "1", NULL, NULL, NULL},
	{"lora_reduce", "0", "lora_reduce", "8", NULL, NULL, NULL},
	{"dropout", "0", "dropout", "0.5", NULL, NULL, NULL},
	{"min_count", "1", "min_count", "5", NULL, NULL, NULL},
	{"min_domain_rows", "50", "min_domain_rows", "5", NULL, NULL, NULL},
	{"gate", "domain", "gate", "input", NULL, NULL, NULL},
	{"recipe", "paper", "recipe", "auto", NULL, NULL, NULL},
	{"seed", "1", "seed", "2", NULL, NULL, NULL},
	{"batch_size", "64", "batch_size", "32", NULL, NULL, NULL},
};

/* lora_reduce and lora_rank exclude each other; 0 is "not given" and no value that can be set. */
static void
set_option(mml_config *config, const char *name, const char *value)
{
	if (strncmp(name, "lora_", 5) == 0)
		config->lora_reduce = config->lora_rank = 0;
	if (strcmp(value, "0") != 0 || strncmp(name, "lora_", 5) != 0)
		unit_check(unit_set(config, name, value), "option %s cannot be %s", name, value);
}

static void
test_options(void)
{
	mml_field_spec specs[UNIT_MAX_FEATURES];

	for (size_t i = 0; i < sizeof(option_cases) / sizeof(option_cases[0]); i++)
	{
		const option_case *of = &option_cases[i];
		mml_config	config;
		mml_config	before;
		char		what[100];
		char		message[100];
		char		hint[100];

		open_before(&config);
		before = config;
		set_option(&before, of->before, of->before_value);
		set_option(&config, of->now, of->now_value);
		unit_bytes_free(&bytes);
		train_before(&before);
		snprintf(what, sizeof(what), "%s %s, then %s %s", of->before, of->before_value, of->now, of->now_value);
		if (of->what == NULL)
		{
			unit_check(start(specs, unit_specs(&data, specs), &config) == MML_OK, "%s: %s", what, unit_error(&unit.host));
			continue;
		}
		snprintf(message, sizeof(message), "cannot start from version 3: %s", of->what);
		snprintf(hint, sizeof(hint), "%s, or train without \"warm_start\".", of->way);
		check_error(what, start(specs, unit_specs(&data, specs), &config), message, of->detail, hint);
	}
	check_released("options");
}

/* ---------------------------------------------------- options that make shapes */

/* The tensors of a configuration, as the version before has them but for the gate. */
static mml_status
declare(const mml_model *before, const mml_config *config, mml_params **params)
{
	mml_shape	shape;

	mml_shape_init(&shape, config, before->n_fields, before->facts.n_experts, false, false);
	return mml_params_declare(&unit.host, &shape, before->layout, params);
}

static bool
same_tensors(const mml_params *a, const mml_params *b)
{
	if (a->n_tensors != b->n_tensors)
		return false;
	for (int32_t i = 0; i < a->n_tensors; i++)
		if (strcmp(a->tensors[i].name, b->tensors[i].name) != 0 || a->tensors[i].rows != b->tensors[i].rows ||
			a->tensors[i].cols != b->tensors[i].cols)
			return false;
	return true;
}

/* Another value of the option: the next number, one more in a list, the next choice that can be had. */
static bool
change(mml_config *config, const mml_option *option)
{
	char		text[160];
	double		values[MML_MAX_LAYERS] = {0};
	int			n = 0;

	mml_config_get_text(config, option, text, sizeof(text));
	if (option->type == MML_OPTION_CHOICE)
	{
		for (int i = 0; option->choices[i] != NULL; i++)
			if (strcmp(option->choices[i], text) != 0 &&
				mml_config_set_text(&unit.host, config, option, option->choices[i]) == MML_OK)
				return true;
		return false;
	}
	if (option->type != MML_OPTION_INTEGERS)
		return mml_config_set_number(&unit.host, config, option, option->maximum <= 1.0 ? 0.5 : atof(text) + 1.0) == MML_OK;
	for (char *at = text; at != NULL && n < MML_MAX_LAYERS - 1; at = strchr(at, ','), at = at == NULL ? NULL : at + 1)
		values[n++] = atof(at);
	values[n] = values[n - 1];
	values[0] *= 2.0;
	return mml_config_set_list(&unit.host, config, option, values, n + 1) == MML_OK;
}

/* Whatever option changes a tensor's shape must be known to the warm start; so the overlay never meets another one. */
static void
check_shapes(const char *backbone, long *n_shapes)
{
	mml_config	config;
	mml_model  *before;
	mml_params *wanted;
	int			n_options;
	const mml_option *options = mml_options(&n_options);

	open_before(&config);
	unit_check(unit_set(&config, "backbone", backbone), "backbone %s", backbone);
	train_before(&config);
	unit_check(unit_load(&unit.host, &bytes, &before) == MML_OK, "load");
	unit_check(declare(before, &config, &wanted) == MML_OK, "declare");
	for (int i = 0; i < n_options; i++)
	{
		mml_rows	rows = {.host = &unit.host,.n_fields = before->n_fields,.previous = before,.previous_version = 3};
		mml_config	other = config;
		mml_params *params;
		bool		is_same;

		if (strcmp(options[i].name, "lora_rank") == 0)
			other.lora_reduce = 0;
		unit_check(change(&other, &options[i]), "%s: option %s has no other value", backbone, options[i].name);
		if (mml_config_check(&unit.host, &other) != MML_OK || !unit_check(declare(before, &other, &params) == MML_OK, "declare"))
			continue;
		is_same = same_tensors(wanted, params) && before->params->shape.per_domain == other.experts_per_domain;
		mml_params_free(&unit.host, params);
		*n_shapes += !is_same;
		if (!is_same || options[i].choices == mml_backbone_names)
			unit_check(mml_warm_check(&rows, &other) == MML_BAD_OPTION, "%s: option %s changes tensors, and is let through",
					   backbone, options[i].name);
	}
	mml_params_free(&unit.host, wanted);
	mml_model_free(before);
	check_released("shapes");
}

static void
test_shapes(void)
{
	long		n_shapes = 0;

	for (int b = 0; b < mml_backbones(); b++)
		check_shapes(mml_backbone_name(b), &n_shapes);
	unit_check(n_shapes >= 40, "%ld options changed a shape", n_shapes);
}

/* A training with another configuration than its rows is held against the version before too. */
static void
test_train(void)
{
	mml_config	config;
	mml_rows   *rows;
	mml_model  *model;

	open_before(&config);
	train_before(&config);
	unit_check(unit_rows(&unit.host, &config, &data, 1, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	config.hidden[1] = 5;
	check_error("train", mml_train(&unit.host, rows, &config, &model),
				"cannot start from version 3: option \"hidden\" differs", "It is [8,5], there it is [8,4].",
				"Give \"hidden\": [8,4], or train without \"warm_start\".");
	mml_rows_free(rows);
	check_released("train");
}

/* And were there a way around all that: shapes are compared before anything is copied. */
static void
check_tensor(const char *name, uint64_t rows, uint64_t cols)
{
	mml_config	config;
	mml_rows   *all;
	mml_model  *model;
	char		message[100];

	open_before(&config);
	config.gate = MML_GATE_INPUT;
	train_before(&config);
	unit_check(unit_rows(&unit.host, &config, &data, 1, &all) == MML_OK, "rows: %s", unit_error(&unit.host));
	for (int32_t i = 0; i < all->previous->params->n_tensors; i++)
	{
		mml_tensor *tensor = &all->previous->params->tensors[i];

		if (strcmp(tensor->name, name) != 0)
			continue;
		tensor->rows += rows;
		tensor->cols += cols;
		break;
	}
	snprintf(message, sizeof(message), "cannot start from version 3: tensor \"%s\" has another shape", name);
	unit_check(mml_train(&unit.host, all, &config, &model) == MML_BAD_OPTION &&
			   strcmp(unit_error(&unit.host), message) == 0, "%s: \"%s\"", name, unit_error(&unit.host));
	unit_check(strstr(unit.host.error.detail, " x ") != NULL, "%s: \"%s\"", name, unit.host.error.detail);
	mml_rows_free(all);
	check_released(name);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_features();
	test_names();
	test_width();
	test_options();
	test_shapes();
	test_train();
	check_tensor("tower.0.weight", 1, 0);
	check_tensor("tower.1.weight", 0, 1);
	check_tensor("embedding.", 0, 1);
	check_tensor("projection.", 1, 0);
	check_tensor("expert.tower.0.down", 1, 0);
	check_tensor("expert.tower.0.down", 0, 2);
	check_tensor("expert.tower.1.up", 2, 0);
	check_tensor("expert.tower.1.up", 0, 1);
	check_tensor("expert.tower.0.bias", 0, 1);
	check_tensor("gate.input.weight", 1, 0);
	unit_bytes_free(&bytes);
	return unit_done();
}
