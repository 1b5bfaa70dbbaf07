/*
 * test_config.c - options: what each may be, what they may not be together, and
 * what the messages say; the same for features.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

static const mml_option *
option_named(const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);

	for (int i = 0; i < n_options; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	unit_check(false, "no option %s", name);
	return &options[0];
}

/* Sets a number and reads it back as text; says: the text, or NULL where it must be refused. */
static void
check_number(const char *name, double value, const char *says)
{
	const mml_option *option = option_named(name);
	mml_config	config;
	mml_config	before;
	char		text[100];
	mml_status	status;

	mml_config_init(&config);
	before = config;
	status = mml_config_set_number(&unit.host, &config, option, value);
	unit_check(status == (says == NULL ? MML_BAD_OPTION : MML_OK), "%s = %g: status %d", name, value, status);
	mml_config_get_text(&config, option, text, sizeof(text));
	if (says != NULL)
		unit_check(strcmp(text, says) == 0, "%s = %g reads as %s", name, value, text);
	else
	{
		unit_check(memcmp(&config, &before, sizeof(config)) == 0, "%s = %g: refused, but set", name, value);
		unit_check(strstr(unit_error(&unit.host), name) != NULL, "%s = %g: says \"%s\"", name, value,
				   unit_error(&unit.host));
	}
}

static void
test_numbers(void)
{
	check_number("embedding_dim", 16, "16");
	check_number("embedding_dim", 0, NULL);
	check_number("embedding_dim", 1025, NULL);
	check_number("embedding_dim", 8.5, NULL);
	check_number("embedding_dim", NAN, NULL);
	check_number("embedding_dim", INFINITY, NULL);
	check_number("dropout", 0, "0");
	check_number("dropout", 0.999, "0.999");
	check_number("dropout", 1, NULL);
	check_number("dropout", -1e-9, NULL);
	check_number("validation", 0.9, "0.9");
	check_number("validation", 0.91, NULL);
	check_number("epochs", 0, NULL);
	check_number("epochs", 100000, "100000");
	check_number("learning_rate", 0, NULL);
	check_number("learning_rate", 1e-8, "1e-08");
	check_number("seed", 9007199254740991.0, "9007199254740991");
	check_number("seed", -9007199254740991.0, "-9007199254740991");
	check_number("seed", 9007199254740992.0, NULL);
	check_number("expert_diversity", 0, "0");
	check_number("expert_diversity", 1000, "1000");
	check_number("expert_diversity", -0.1, NULL);
	check_number("expert_diversity", 1001, NULL);
	check_number("gate_entropy", -1, "-1");
	check_number("gate_entropy", 1, "1");
	check_number("gate_entropy", -1.01, NULL);
	check_number("gate_entropy", 1.01, NULL);
	check_number("gate_entropy", NAN, NULL);
	check_number("finetune", 1, "true");
	check_number("finetune", 0, "false");
	check_number("hidden", 8, NULL);
	check_number("backbone", 1, NULL);
}

static void
test_ranges_in_messages(void)
{
	mml_config	config;

	mml_config_init(&config);
	(void) mml_config_set_number(&unit.host, &config, option_named("dropout"), 2.0);
	unit_check(strcmp(unit_error(&unit.host), "option \"dropout\" must be a number from 0 to 1, excluded") == 0,
			   "says \"%s\"", unit_error(&unit.host));
	(void) mml_config_set_number(&unit.host, &config, option_named("patience"), 0.0);
	unit_check(strcmp(unit_error(&unit.host), "option \"patience\" must be a whole number from 1 to 100000") == 0,
			   "says \"%s\"", unit_error(&unit.host));
}

static void
test_choices(void)
{
	mml_config	config;
	char		text[20];

	mml_config_init(&config);
	unit_check(mml_config_set_text(&unit.host, &config, option_named("method"), "mlora") == MML_OK &&
			   config.method == MML_MLORA, "method mlora");
	unit_check(mml_config_set_text(&unit.host, &config, option_named("method"), "MLORA") == MML_BAD_OPTION,
			   "case counts");
	unit_check(strstr(unit.host.error.hint, "\"moe_mlora\", \"mlora\", \"backbone\"") != NULL,
			   "the hint lists the choices: %s", unit.host.error.hint);
	unit_check(mml_config_set_text(&unit.host, &config, option_named("epochs"), "5") == MML_BAD_OPTION,
			   "text for a number");
	for (int i = 0; i < mml_backbones(); i++)
	{
		mml_status	status = mml_config_set_text(&unit.host, &config, option_named("backbone"), mml_backbone_name(i));

		unit_check(status == MML_OK && config.backbone == i, "backbone %s", mml_backbone_name(i));
		unit_check(mml_backbone_find(mml_backbone_name(i)) == i, "backbone %s is found", mml_backbone_name(i));
	}
	unit_check(mml_backbones() == 9, "%d backbones", mml_backbones());
	unit_check(mml_backbone_find("transformer") == -1, "no such backbone");
	mml_config_get_text(&config, option_named("gate"), text, 4);
	unit_check(strcmp(text, "dom") == 0, "a text that does not fit is cut: %s", text);
}

static void
test_lists(void)
{
	const mml_option *hidden = option_named("hidden");
	mml_config	config;
	char		text[100];
	double		layers[MML_MAX_LAYERS + 1];

	mml_config_init(&config);
	for (int i = 0; i <= MML_MAX_LAYERS; i++)
		layers[i] = i + 1;
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, 3) == MML_OK && config.n_hidden == 3,
			   "three layers");
	mml_config_get_text(&config, hidden, text, sizeof(text));
	unit_check(strcmp(text, "1,2,3") == 0, "reads as %s", text);
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, MML_MAX_LAYERS) == MML_OK, "as many as can be");
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, MML_MAX_LAYERS + 1) == MML_BAD_OPTION,
			   "one more");
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, 0) == MML_BAD_OPTION, "none");
	layers[2] = 0.5;
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, 3) == MML_BAD_OPTION, "half a unit");
	layers[2] = MML_MAX_WIDTH + 1;
	unit_check(mml_config_set_list(&unit.host, &config, hidden, layers, 3) == MML_BAD_OPTION, "too many units");
	unit_check(config.n_hidden == MML_MAX_LAYERS && config.hidden[2] == 3, "what is refused is not set");
	unit_check(mml_config_set_list(&unit.host, &config, option_named("seed"), layers, 1) == MML_BAD_OPTION,
			   "a list for a number");
}

/* Options as "name value name value": refused with a message that has `says`, or fine. */
static void
check_together(const char *says, const char *first, const char *first_value, const char *second,
			   const char *second_value)
{
	mml_config	config;
	mml_status	status;

	mml_config_init(&config);
	unit_check(unit_set(&config, first, first_value) && unit_set(&config, second, second_value), "%s, %s", first,
			   second);
	status = mml_config_check(&unit.host, &config);
	unit_check(status == (says == NULL ? MML_OK : MML_BAD_OPTION), "%s %s, %s %s: status %d", first, first_value,
			   second, second_value, status);
	if (says != NULL)
		unit_check(strstr(unit_error(&unit.host), says) != NULL, "%s, %s: says \"%s\"", first, second,
				   unit_error(&unit.host));
}

static void
test_combinations(void)
{
	mml_config	config;

	mml_config_init(&config);
	unit_check(mml_config_check(&unit.host, &config) == MML_OK, "the defaults are sound");
	check_together("\"lora_rank\" and \"lora_reduce\"", "lora_rank", "4", "lora_reduce", "4");
	check_together("\"finetune\" needs method \"moe_mlora\"", "finetune", "1", "method", "mlora");
	check_together("has no experts", "serve", "own", "method", "backbone");
	check_together("\"mlora\" has no gate", "serve", "gate", "method", "mlora");
	check_together("\"backbone\" has no gate", "serve", "gate", "method", "backbone");
	check_together("\"expert_diversity\" needs method", "expert_diversity", "0.1", "method", "backbone");
	check_together("\"expert_diversity\" needs \"finetune\"", "expert_diversity", "0.1", "recipe", "paper");
	check_together("\"gate_entropy\" needs method", "gate_entropy", "0.1", "method", "mlora");
	check_together("\"gate_entropy\" needs method", "gate_entropy", "-0.1", "method", "backbone");
	check_together(NULL, "expert_diversity", "0.1", "method", "mlora");
	check_together(NULL, "expert_diversity", "0.1", "recipe", "gated");
	check_together(NULL, "expert_diversity", "0", "method", "backbone");
	check_together(NULL, "gate_entropy", "-0.1", "recipe", "paper");
	check_together(NULL, "gate_entropy", "0", "method", "mlora");
	check_together(NULL, "serve", "own", "method", "mlora");
	check_together(NULL, "serve", "gate", "finetune", "1");
	check_together(NULL, "serve", "backbone", "method", "backbone");
}

/* A feature that cannot be: says part of the message. */
static void
check_feature(mml_field_spec spec, mml_status expected, const char *says)
{
	mml_config	config;
	mml_rows   *rows;
	mml_status	status;

	mml_config_init(&config);
	status = mml_rows_create_training(&unit.host, &config, &spec, 1, &rows);
	unit_check(status == expected && rows == NULL, "feature of \"%s\": status %d", says, status);
	unit_check(strstr(unit_error(&unit.host), says) != NULL, "says \"%s\", not \"%s\"", unit_error(&unit.host), says);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

static void
test_features(void)
{
	static const double equal[] = {1.0, 1.0};
	static const double endless[] = {1.0, INFINITY};
	char		name[MML_MAX_NAME + 2];
	mml_config	config;
	mml_rows   *rows;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	check_feature((mml_field_spec) {.name = ""}, MML_BAD_OPTION, "1 to 1023 bytes");
	check_feature((mml_field_spec) {.name = name}, MML_BAD_OPTION, "1 to 1023 bytes");
	check_feature((mml_field_spec) {.name = "a",.hash_buckets = MML_MAX_BUCKETS + 1}, MML_LIMIT,
				  "more than 1000000000");
	check_feature((mml_field_spec) {.name = "a",.kind = MML_VECTOR,.project = true,.width = MML_MAX_WIDTH + 1},
				  MML_LIMIT,
				  "more than 65536");
	check_feature((mml_field_spec) {.name = "a",.boundaries = equal,.n_boundaries = 2}, MML_BAD_OPTION, "ascending");
	check_feature((mml_field_spec) {.name = "a",.boundaries = endless,.n_boundaries = 2}, MML_BAD_OPTION, "finite");
	mml_config_init(&config);
	unit_check(mml_rows_create_training(&unit.host, &config, NULL, 0, &rows) == MML_BAD_DATA, "no features");
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_numbers();
	test_ranges_in_messages();
	test_choices();
	test_lists();
	test_combinations();
	test_features();
	return unit_done();
}
