/*
 * config.c - the table of options: names, ranges, defaults, checks.
 */
#include <math.h>
#include <string.h>

#include "mml_layers.h"

static const char *const methods[] = {"moe_mlora", "mlora", "backbone", NULL};
static const char *const recipes[] = {"auto", "paper", "joint", "gated", NULL};
static const char *const gates[] = {"domain", "input", NULL};
static const char *const serves[] = {"auto", "backbone", "own", "gate", NULL};
static const char *const unknowns[] = {"backbone", "mean", "error", NULL};

#define AT(field) .offset = offsetof(mml_config, field)
#define INTEGER(field, low, high) \
	{.name = #field, .type = MML_OPTION_INTEGER, .minimum = (low), .maximum = (high), AT(field)}
#define REAL(field, low, high) \
	{.name = #field, .type = MML_OPTION_REAL, .minimum = (low), .maximum = (high), AT(field)}
#define CHOICE(field, list) {.name = #field, .type = MML_OPTION_CHOICE, .choices = (list), AT(field)}
#define INTEGERS(field, low, high) \
	{.name = #field, .type = MML_OPTION_INTEGERS, .minimum = (low), .maximum = (high), AT(field), \
	 .count_offset = offsetof(mml_config, n_##field)}

static const mml_option options[] = {
	CHOICE(backbone, mml_backbone_names),
	CHOICE(method, methods),
	CHOICE(recipe, recipes),
	INTEGER(embedding_dim, 1, 1024),
	INTEGERS(hidden, 1, MML_MAX_WIDTH),
	{.name = "dropout",.type = MML_OPTION_REAL,.minimum = 0,.maximum = 1,.maximum_excluded = true, AT(dropout)},
	INTEGER(lora_reduce, 1, MML_MAX_WIDTH),
	INTEGER(lora_rank, 1, MML_MAX_WIDTH),
	INTEGER(experts_per_domain, 1, 64),
	INTEGER(min_domain_rows, 1, 1e9),
	CHOICE(gate, gates),
	REAL(gate_own_share, 0.01, 0.99),
	CHOICE(serve, serves),
	CHOICE(unknown_domain, unknowns),
	INTEGER(epochs, 1, 100000),
	INTEGER(patience, 1, 100000),
	INTEGER(batch_size, 1, 65536),
	REAL(learning_rate, 1e-8, 10),
	REAL(l2, 0, 1),
	REAL(expert_diversity, 0, 1000),
	REAL(gate_entropy, -1, 1),
	{.name = "finetune",.type = MML_OPTION_BOOLEAN,.maximum = 1, AT(finetune)},
	REAL(validation, 0, 0.9),
	INTEGER(seed, -9007199254740991.0, 9007199254740991.0),
	REAL(max_seconds, 0, 1e9),
	INTEGER(min_count, 1, 1e9),
	INTEGER(cross_layers, 1, MML_MAX_LAYERS),
	INTEGER(attention_layers, 1, MML_MAX_LAYERS),
	INTEGER(attention_heads, 1, 256),
	INTEGER(attention_dim, 1, 1024),
	INTEGERS(cin, 1, 4096),
};

#define N_OPTIONS ((int) (sizeof(options) / sizeof(options[0])))

const mml_option *
mml_options(int *n_options)
{
	*n_options = N_OPTIONS;
	return options;
}

void
mml_config_init(mml_config *config)
{
	memset(config, 0, sizeof(*config));
	config->backbone = mml_backbone_find("wdl");
	config->embedding_dim = 8;
	config->n_hidden = 3;
	config->hidden[0] = 256;
	config->hidden[1] = 128;
	config->hidden[2] = 64;
	config->dropout = 0.5;
	config->experts_per_domain = 1;
	config->min_domain_rows = 100;
	config->epochs = 50;
	config->patience = 5;
	config->batch_size = 1024;
	config->learning_rate = 0.001;
	config->l2 = 1e-5;
	config->validation = 0.1;
	config->seed = 42;
	config->min_count = 1;
	config->cross_layers = 2;
	config->attention_layers = 3;
	config->attention_heads = 4;
	config->attention_dim = 8;
	config->n_cin = 2;
	config->cin[0] = config->cin[1] = 128;
}

/* --------------------------------------------------------------------- set */

static void *
place_of(mml_config *config, const mml_option *option)
{
	return (char *) config + option->offset;
}

static mml_status
out_of_range(mml_host *host, const mml_option *option)
{
	return mml_fail(host, MML_BAD_OPTION, "option \"%s\" must be %s %s %.16g %s %.16g%s", option->name,
					option->type == MML_OPTION_REAL ? "a number" : option->type == MML_OPTION_INTEGER ?
					"a whole number" : "a list of whole numbers, each", "from", option->minimum, "to", option->maximum,
					option->maximum_excluded ? ", excluded" : "");
}

static bool
is_in_range(const mml_option *option, double value)
{
	if (!(value >= option->minimum && value <= option->maximum))
		return false;
	if (option->maximum_excluded && value >= option->maximum)
		return false;
	return option->type == MML_OPTION_REAL || value == floor(value);
}

static mml_status
wrong_type(mml_host *host, const mml_option *option)
{
	static const char *const wanted[] = {
		[MML_OPTION_INTEGER] = "a whole number",
		[MML_OPTION_REAL] = "a number",
		[MML_OPTION_BOOLEAN] = "true or false",
		[MML_OPTION_CHOICE] = "a text",
		[MML_OPTION_INTEGERS] = "a list of whole numbers"
	};

	return mml_fail(host, MML_BAD_OPTION, "option \"%s\" must be %s", option->name, wanted[option->type]);
}

mml_status
mml_config_set_number(mml_host *host, mml_config *config, const mml_option *option, double value)
{
	int32_t		whole;

	switch (option->type)
	{
		case MML_OPTION_INTEGER:
			if (!is_in_range(option, value))
				return out_of_range(host, option);
			if (option->offset == offsetof(mml_config, seed))
			{
				config->seed = (int64_t) value;
				return MML_OK;
			}
			whole = (int32_t) value;
			memcpy(place_of(config, option), &whole, sizeof(whole));
			return MML_OK;
		case MML_OPTION_REAL:
			if (!is_in_range(option, value))
				return out_of_range(host, option);
			memcpy(place_of(config, option), &value, sizeof(value));
			return MML_OK;
		case MML_OPTION_BOOLEAN:
			whole = value != 0.0;
			memcpy(place_of(config, option), &whole, sizeof(whole));
			return MML_OK;
		default:
			return wrong_type(host, option);
	}
}

static mml_status
not_a_choice(mml_host *host, const mml_option *option, const char *value)
{
	char		list[400] = "";
	size_t		end = 0;

	for (int i = 0; option->choices[i] != NULL && end < sizeof(list); i++)
	{
		mml_format(list + end, sizeof(list) - end, "%s\"%s\"", i > 0 ? ", " : "", option->choices[i]);
		end += strlen(list + end);
	}
	(void) mml_fail(host, MML_BAD_OPTION, "option \"%s\" cannot be \"%.60s\"", option->name, value);
	mml_fail_hint(host, "It must be one of %.200s.", list);
	return MML_BAD_OPTION;
}

mml_status
mml_config_set_text(mml_host *host, mml_config *config, const mml_option *option, const char *value)
{
	if (option->type != MML_OPTION_CHOICE)
		return wrong_type(host, option);
	for (int32_t i = 0; option->choices[i] != NULL; i++)
	{
		if (strcmp(option->choices[i], value) != 0)
			continue;
		memcpy(place_of(config, option), &i, sizeof(i));
		return MML_OK;
	}
	return not_a_choice(host, option, value);
}

mml_status
mml_config_set_list(mml_host *host, mml_config *config, const mml_option *option, const double *values, int n_values)
{
	int32_t		count = n_values;
	int32_t    *list = place_of(config, option);

	if (option->type != MML_OPTION_INTEGERS)
		return wrong_type(host, option);
	if (n_values < 1 || n_values > MML_MAX_LAYERS)
		return mml_fail(host, MML_BAD_OPTION, "option \"%s\" must list 1 to %d numbers", option->name, MML_MAX_LAYERS);
	for (int i = 0; i < n_values; i++)
		if (!is_in_range(option, values[i]))
			return out_of_range(host, option);
	for (int i = 0; i < n_values; i++)
		list[i] = (int32_t) values[i];
	memcpy((char *) config + option->count_offset, &count, sizeof(count));
	return MML_OK;
}

/* ------------------------------------------------------------------- check */

mml_status
mml_config_check(mml_host *host, const mml_config *config)
{
	const char *problem;

	if (config->lora_rank > 0 && config->lora_reduce > 0)
		return mml_fail(host, MML_BAD_OPTION, "options \"lora_rank\" and \"lora_reduce\" cannot be given together");
	if (config->finetune && config->method != MML_MOE_MLORA)
		return mml_fail(host, MML_BAD_OPTION, "option \"finetune\" needs method \"moe_mlora\"");
	if (config->serve == MML_SERVE_OWN && config->method == MML_BACKBONE)
		return mml_fail(host, MML_BAD_OPTION, "method \"backbone\" has no experts to serve");
	if (config->serve == MML_SERVE_GATE && config->method != MML_MOE_MLORA)
		return mml_fail(host, MML_BAD_OPTION, "method \"%s\" has no gate to serve", methods[config->method]);
	if (config->expert_diversity > 0.0 && config->method == MML_BACKBONE)
		return mml_fail(host, MML_BAD_OPTION, "option \"expert_diversity\" needs method \"moe_mlora\" or \"mlora\"");
	if (config->expert_diversity > 0.0 && config->method == MML_MOE_MLORA && config->recipe == MML_RECIPE_PAPER &&
		!config->finetune)
		return mml_fail(host, MML_BAD_OPTION, "option \"expert_diversity\" needs \"finetune\" with recipe \"paper\", "
						"which else trains each expert alone");
	if (config->gate_entropy != 0.0 && config->method != MML_MOE_MLORA)
		return mml_fail(host, MML_BAD_OPTION, "option \"gate_entropy\" needs method \"moe_mlora\"");
	problem = mml_backbone_check(config);
	if (problem != NULL)
		return mml_fail(host, MML_BAD_OPTION, "%s", problem);
	return MML_OK;
}

/* --------------------------------------------------------------------- get */

void
mml_config_get_text(const mml_config *config, const mml_option *option, char *buffer, size_t size)
{
	const char *place = (const char *) config + option->offset;
	int32_t		whole;
	double		real;

	memcpy(&whole, place, sizeof(whole));
	switch (option->type)
	{
		case MML_OPTION_INTEGER:
			if (option->offset == offsetof(mml_config, seed))
				mml_format(buffer, size, "%lld", (long long) config->seed);
			else
				mml_format(buffer, size, "%d", whole);
			break;
		case MML_OPTION_REAL:
			memcpy(&real, place, sizeof(real));
			mml_format(buffer, size, "%.15g", real);
			break;
		case MML_OPTION_BOOLEAN:
			mml_format(buffer, size, "%s", whole ? "true" : "false");
			break;
		case MML_OPTION_CHOICE:
			mml_format(buffer, size, "%s", option->choices[whole]);
			break;
		case MML_OPTION_INTEGERS:
			{
				int32_t		n;
				size_t		end = 0;

				memcpy(&n, (const char *) config + option->count_offset, sizeof(n));
				for (int32_t i = 0; i < n && end < size; i++)
				{
					memcpy(&whole, place + (size_t) i * sizeof(whole), sizeof(whole));
					mml_format(buffer + end, size - end, "%s%d", i > 0 ? "," : "", whole);
					end += strlen(buffer + end);
				}
			}
	}
}
