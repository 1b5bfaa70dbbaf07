/*
 * golden_file.c - reads a golden file of an independent implementation and
 * holds our logits, loss and gradients against it (MODELS.md section 7).
 *
 * Lines of tokens separated by single blanks.  Any number of fields, kinds,
 * sizes, layers, domains and experts.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define LOGIT_TOLERANCE 1e-5
#define GRADIENT_TOLERANCE 1e-4

/*
 * A tensor of one number (bias, linear of a numeric field) is a sum over all
 * rows and has no larger entry to be held against: where its terms cancel out,
 * the rounding of float32 stays.  Nothing else gets this allowance.
 */
#define ONE_NUMBER_ROUNDING 3e-8
#define MAX_FIELDS 4096

/* One file at work. */
typedef struct golden
{
	const char *path;
	char	   *text;			/* the whole file, lines cut by zeros */
	char	  **lines;
	int			n_lines;
	unit_host	unit;
	unit_net	net;
	int			n_rows;
	int			n_domains;
	int			n_experts;
	const char *input[MAX_FIELDS];	/* the rest of each field's input line */
	const char *labels;
	bool		has_bad_ids;
	uint64_t	n_loaded;		/* numbers of tensors */
} golden;

static bool
complain(const golden *file, const char *what, const char *of)
{
	return unit_check(false, "%s: %s%s%s", file->path, what, of == NULL ? "" : " ", of == NULL ? "" : of);
}

/* ------------------------------------------------------------------ tokens */

static bool
load_lines(golden *file)
{
	FILE	   *stream = fopen(file->path, "rb");
	long		size;
	int			held = 0;

	if (stream == NULL)
		return complain(file, strerror(errno), NULL);
	fseek(stream, 0, SEEK_END);
	size = ftell(stream);
	rewind(stream);
	file->text = malloc((size_t) size + 1);
	if (fread(file->text, 1, (size_t) size, stream) != (size_t) size)
		size = 0;
	fclose(stream);
	file->text[size] = '\0';
	for (char *at = file->text; *at != '\0';)
	{
		char	   *end = strchr(at, '\n');

		if (file->n_lines == held)
		{
			held = held * 2 + 64;
			file->lines = realloc(file->lines, (size_t) held * sizeof(char *));
		}
		file->lines[file->n_lines++] = at;
		if (end == NULL)
			break;
		*end = '\0';
		at = end + 1;
	}
	if (file->n_lines < 2 || strcmp(file->lines[0], "moemlora-golden 1") != 0 ||
		strcmp(file->lines[file->n_lines - 1], "end") != 0)
		return complain(file, "is not a whole golden file of format 1", NULL);
	return true;
}

/* The text after the first word when it is `key`, else NULL. */
static const char *
after(const char *line, const char *key)
{
	size_t		length = strlen(key);

	return strncmp(line, key, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

/* Copies the next word; returns what follows it. */
static const char *
next_word(const char *at, char *word, size_t size)
{
	size_t		length = strcspn(at, " ");

	mml_copy_text(word, size, at, length);
	at += length;
	return *at == ' ' ? at + 1 : at;
}

/* Whether exactly n words follow: a line that was cut must not read as zeros. */
static bool
has_words(const char *at, size_t n)
{
	size_t		count = *at != '\0';

	for (; *at != '\0'; at++)
		count += *at == ' ';
	return count == n;
}

static double
next_number(const char **at)
{
	char		word[64];

	*at = next_word(*at, word, sizeof(word));
	return strtod(word, NULL);
}

/* --------------------------------------------------------------- structure */

static bool
set_option(golden *file, const char *key, const char *values)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	double		list[MML_MAX_LAYERS] = {0.0};
	int			n = 0;
	const char *at = values;

	for (; *at != '\0' && n < MML_MAX_LAYERS; n++)
		list[n] = next_number(&at);
	for (int i = 0; i < n_options; i++)
	{
		mml_status	status;

		if (strcmp(options[i].name, key) != 0)
			continue;
		if (options[i].type == MML_OPTION_CHOICE)
			status = mml_config_set_text(file->net.host, &file->net.config, &options[i], values);
		else if (options[i].type == MML_OPTION_INTEGERS)
			status = mml_config_set_list(file->net.host, &file->net.config, &options[i], list, n);
		else
			status = mml_config_set_number(file->net.host, &file->net.config, &options[i], list[0]);
		return status == MML_OK || complain(file, unit_error(file->net.host), NULL);
	}
	return complain(file, "unknown key", key);
}

static bool
add_field(golden *file, const char *rest)
{
	static const char *const kinds[] = {"categorical", "numeric", "multi", "vector"};
	mml_field  *field = &file->net.fields[file->net.n_fields];
	char		kind[32];
	char		name[256];
	uint32_t	size;

	if (file->net.n_fields == MAX_FIELDS)
		return complain(file, "has too many fields", NULL);
	rest = next_word(rest, name, sizeof(name));
	rest = next_word(rest, kind, sizeof(kind));
	size = (uint32_t) next_number(&rest);
	field->name = strdup(name);
	file->net.n_fields++;
	field->kind = -1;
	for (int i = 0; i < 4; i++)
		if (strcmp(kinds[i], kind) == 0)
			field->kind = i;
	if (field->kind < 0)
		return complain(file, "unknown kind", kind);
	field->is_domain = strcmp(name, "domain") == 0;
	field->table_rows = field->kind == MML_VECTOR ? 0 : size;
	field->width = field->kind == MML_VECTOR ? size : 0;
	return true;
}

static int
field_named(const golden *file, const char *name)
{
	for (int f = 0; f < file->net.n_fields; f++)
		if (strcmp(file->net.fields[f].name, name) == 0)
			return f;
	return -1;
}

static bool
read_line(golden *file, const char *line)
{
	char		key[64];
	char		name[256];
	const char *rest = next_word(line, key, sizeof(key));

	if (strcmp(key, "rows") == 0)
		file->n_rows = atoi(rest);
	else if (strcmp(key, "domains") == 0)
		file->n_domains = atoi(rest);
	else if (strcmp(key, "experts") == 0)
		file->n_experts = atoi(rest);
	else if (strcmp(key, "dim") == 0)
		return set_option(file, "embedding_dim", rest);
	else if (strcmp(key, "field") == 0)
		return add_field(file, rest);
	else if (strcmp(key, "label") == 0)
		file->labels = rest;
	else if (strcmp(key, "input") == 0)
	{
		int			f;

		rest = next_word(rest, name, sizeof(name));
		f = field_named(file, name);
		if (f < 0)
			return complain(file, "input of unknown field", name);
		file->input[f] = rest;
	}
	else if (strcmp(key, "tensor") == 0)
	{
		/* a vector field is projected when there is something to project it with */
		(void) next_word(rest, name, sizeof(name));
		if (strncmp(name, "projection.", 11) == 0 && field_named(file, name + 11) >= 0)
			file->net.fields[field_named(file, name + 11)].project = 1;
	}
	else
		return set_option(file, key, rest);
	return true;
}

/* Everything before the first mode. */
static bool
read_structure(golden *file, int *first_mode)
{
	mml_config_init(&file->net.config);
	file->net.config.dropout = 0.0;
	for (int i = 1; i < file->n_lines - 1; i++)
	{
		if (after(file->lines[i], "mode") != NULL)
		{
			*first_mode = i;
			break;
		}
		if (!read_line(file, file->lines[i]))
			return false;
	}
	if (*first_mode == 0 || file->n_rows < 1 || file->n_experts < 1 || file->n_domains < 1 ||
		file->n_experts % file->n_domains != 0 ||
		file->labels == NULL || file->net.n_fields < 1 || !file->net.fields[file->net.n_fields - 1].is_domain ||
		file->net.fields[file->net.n_fields - 1].table_rows != (uint32_t) file->n_domains)
		return complain(file, "lacks rows, domains, experts, labels, fields or modes", NULL);
	file->net.n_domains = (uint32_t) file->n_domains;
	file->net.config.experts_per_domain = file->n_experts / file->n_domains;
	if (mml_config_check(file->net.host, &file->net.config) != MML_OK)
		return complain(file, unit_error(file->net.host), NULL);
	for (int f = 0; f < file->net.n_fields; f++)
	{
		const mml_field *field = &file->net.fields[f];

		if (field->kind == MML_VECTOR && !field->project && field->width != (uint32_t) file->net.config.embedding_dim)
			return complain(file, "has neither projection nor dim numbers for vector", field->name);
	}
	return true;
}

/* -------------------------------------------------------------------- rows */

/* The next id of a field, which must be in its table. */
static uint32_t
checked_id(golden *file, int f, double id)
{
	if (id >= 0.0 && id < file->net.fields[f].table_rows)
		return (uint32_t) id;
	file->has_bad_ids = true;
	return 0;
}

/* "{1,4}" -> ids; returns what follows. */
static const char *
put_list(golden *file, int f, const char *at)
{
	if (*at == '{')
		at++;
	(void) mml_put_items_begin(file->net.rows, f);
	while (*at != '}' && *at != '\0')
	{
		char	   *end;

		(void) mml_put_item_id(file->net.rows, f, checked_id(file, f, (double) strtoul(at, &end, 10)));
		if (end == at)
		{
			file->has_bad_ids = true;
			break;
		}
		at = *end == ',' ? end + 1 : end;
	}
	(void) mml_put_items_end(file->net.rows, f);
	at += *at == '}';
	return *at == ' ' ? at + 1 : at;
}

static const char *
put_value(golden *file, int f, const char *at)
{
	const mml_field *field = &file->net.fields[f];
	float	   *vector;

	switch (field->kind)
	{
		case MML_CATEGORICAL:
			mml_put_id(file->net.rows, f, checked_id(file, f, next_number(&at)));
			return at;
		case MML_NUMERIC:
			mml_put_z(file->net.rows, f, (float) next_number(&at));
			return at;
		case MML_MULTI:
			return put_list(file, f, at);
		default:
			vector = calloc(field->width, sizeof(float));
			for (uint32_t i = 0; i < field->width; i++)
				vector[i] = (float) next_number(&at);
			if (mml_put_vector(file->net.rows, f, vector, field->width) != MML_OK)
				file->has_bad_ids = true;
			free(vector);
			return at;
	}
}

/* As many values on each line as there are rows. */
static bool
check_inputs(const golden *file)
{
	size_t		n = (size_t) file->n_rows;

	if (!has_words(file->labels, n))
		return complain(file, "has another number of labels than rows", NULL);
	for (int f = 0; f < file->net.n_fields; f++)
	{
		const mml_field *field = &file->net.fields[f];

		if (file->input[f] == NULL)
			return complain(file, "has no input for field", field->name);
		if (!has_words(file->input[f], field->kind == MML_VECTOR ? n * field->width : n))
			return complain(file, "has another number of values than rows for field", field->name);
	}
	return true;
}

static bool
push_rows(golden *file)
{
	const char *label = file->labels;
	int			domain = file->net.n_fields - 1;

	if (!check_inputs(file))
		return false;
	for (int i = 0; i < file->n_rows; i++)
	{
		uint32_t	id;

		if (mml_rows_begin(file->net.rows) != MML_OK)
			return complain(file, unit_error(file->net.host), NULL);
		for (int f = 0; f < domain; f++)
			file->input[f] = put_value(file, f, file->input[f]);
		id = checked_id(file, domain, next_number(&file->input[domain]));
		mml_rows_end_raw(file->net.rows, (float) next_number(&label), 1.0f, id, 0);
	}
	return !file->has_bad_ids || complain(file, "has a value that its field cannot take", NULL);
}

/* ----------------------------------------------------------------- tensors */

static bool
find_view(golden *file, const char *name, bool is_gradient, mml_tensor_view *view)
{
	if (mml_params_view(file->net.params, &file->net.arena, file->net.fields, name, is_gradient, view))
		return true;
	return complain(file, "no such tensor:", name);
}

static bool
load_tensor(golden *file, const char *rest)
{
	char		name[256];
	mml_tensor_view view;
	size_t		rows;
	size_t		cols;

	rest = next_word(rest, name, sizeof(name));
	rows = (size_t) next_number(&rest);
	cols = (size_t) next_number(&rest);
	if (!find_view(file, name, false, &view))
		return false;
	if (view.rows != rows || view.cols != cols || !has_words(rest, rows * cols))
		return complain(file, "other shape than ours:", name);
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			view.values[i * view.stride + j] = (float) next_number(&rest);
	file->n_loaded += (uint64_t) rows * cols;
	return true;
}

/* Holds a gradient against its line, then sets it to 0: what is left must be 0. */
static bool
check_gradient(golden *file, const char *mode, const char *rest)
{
	char		name[256];
	mml_tensor_view view;
	size_t		rows;
	size_t		cols;
	double		largest = 0.0;
	double		worst = 0.0;

	rest = next_word(rest, name, sizeof(name));
	rows = (size_t) next_number(&rest);
	cols = (size_t) next_number(&rest);
	if (!find_view(file, name, true, &view))
		return false;
	if (view.rows != rows || view.cols != cols || !has_words(rest, rows * cols))
		return complain(file, "other shape than ours:", name);
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
		{
			double		expected = next_number(&rest);

			largest = fmax(largest, fabs(expected));
			worst = fmax(worst, fabs(expected - view.values[i * view.stride + j]));
			view.values[i * view.stride + j] = 0.0f;
		}
	return unit_check(worst <= GRADIENT_TOLERANCE * largest + (rows * cols == 1 ? ONE_NUMBER_ROUNDING : 0.0), "%s: mode %s, gradient of %s: off by %.3g of %.3g",
					  file->path, mode, name, worst, largest);
}

static void
check_rest_is_zero(golden *file, const char *mode)
{
	for (int32_t i = 0; i < file->net.params->n_tensors; i++)
	{
		const mml_tensor *tensor = &file->net.params->tensors[i];
		size_t		n = (size_t) (tensor->rows * tensor->cols);
		size_t		j = 0;

		while (j < n && file->net.net.gradient[i][j] == 0.0f)
			j++;
		unit_check(j == n, "%s: mode %s: tensor %s has a gradient that should be 0", file->path, mode, tensor->name);
	}
}

/* ------------------------------------------------------------------- modes */

static bool
pass_of(golden *file, const char *mode, mml_pass *pass)
{
	memset(pass, 0, sizeof(*pass));
	pass->groups = MML_GROUP_ALL;
	pass->expert = -1;
	if (strcmp(mode, "backbone") == 0)
		pass->mode = MML_MODE_BACKBONE;
	else if (strcmp(mode, "own") == 0)
		pass->mode = MML_MODE_OWN;
	else if (strcmp(mode, "gate.domain") == 0 || strcmp(mode, "gate.input") == 0)
	{
		pass->mode = MML_MODE_GATE;
		pass->gate = strcmp(mode, "gate.input") == 0 ? MML_GATE_INPUT : MML_GATE_DOMAIN;
	}
	else if (strncmp(mode, "expert.", 7) == 0)
	{
		pass->mode = MML_MODE_EXPERT;
		pass->expert = atoi(mode + 7);
	}
	else
		return complain(file, "unknown mode", mode);
	return true;
}

static void
check_logits(golden *file, const char *mode, const char *rest)
{
	double		largest = 0.0;
	double		worst = has_words(rest, (size_t) file->n_rows) ? 0.0 : INFINITY;
	double	   *expected = malloc((size_t) file->n_rows * sizeof(double));

	for (int i = 0; i < file->n_rows; i++)
	{
		expected[i] = next_number(&rest);
		largest = fmax(largest, fabs(expected[i]));
	}
	for (size_t b = 0; b < file->net.batch.n; b++)
		worst = fmax(worst, fabs(expected[file->net.batch.row[b]] - file->net.batch.logit[b]));
	unit_check(worst <= LOGIT_TOLERANCE * largest, "%s: mode %s: logits off by %.3g of %.3g",
			   file->path, mode, worst, largest);
	free(expected);
}

static bool
check_modes(golden *file, int first)
{
	char		mode[64] = "";

	for (int i = first; i < file->n_lines; i++)
	{
		const char *line = file->lines[i];
		const char *rest;
		mml_pass	pass;

		if (mode[0] != '\0' && (after(line, "mode") != NULL || strcmp(line, "end") == 0))
			check_rest_is_zero(file, mode);
		if ((rest = after(line, "mode")) != NULL)
		{
			mml_copy_text(mode, sizeof(mode), rest, strlen(rest));
			if (!pass_of(file, mode, &pass))
				return false;
			if (unit_net_run(&file->net, &pass) != MML_OK)
				return complain(file, unit_error(file->net.host), NULL);
		}
		else if ((rest = after(line, "logit")) != NULL)
			check_logits(file, mode, rest);
		else if ((rest = after(line, "loss")) != NULL)
			unit_check(fabs(unit_net_loss(&file->net) - strtod(rest, NULL)) <= LOGIT_TOLERANCE,
					   "%s: mode %s: loss %.9g instead of %s", file->path, mode, unit_net_loss(&file->net), rest);
		else if ((rest = after(line, "grad")) != NULL)
			(void) check_gradient(file, mode, rest);
		else if (strcmp(line, "end") != 0)
			return complain(file, "unknown line:", line);
	}
	return true;
}

static bool
check_file(golden *file)
{
	int			first_mode = 0;

	if (!load_lines(file) || !read_structure(file, &first_mode))
		return false;
	if (unit_net_create(&file->net, (size_t) file->n_rows) != MML_OK || !push_rows(file) ||
		unit_net_open_rows(&file->net) != MML_OK)
		return complain(file, unit_error(file->net.host), NULL);
	for (int i = 1; i < first_mode; i++)
	{
		const char *rest = after(file->lines[i], "tensor");

		if (rest != NULL && !load_tensor(file, rest))
			return false;
	}
	if (file->n_loaded != mml_params_count(file->net.params, MML_GROUP_ALL))
		return complain(file, "lacks a tensor or has one twice", NULL);
	return check_modes(file, first_mode);
}

bool
golden_check_file(const char *path)
{
	golden	   *file = calloc(1, sizeof(golden));
	bool		is_ok;

	file->path = path;
	unit_host_init(&file->unit);
	file->net.unit = &file->unit;
	file->net.host = &file->unit.host;
	file->net.fields = calloc(MAX_FIELDS, sizeof(mml_field));
	is_ok = check_file(file);
	unit_net_free(&file->net);
	for (int f = 0; f < file->net.n_fields; f++)
		free(file->net.fields[f].name);
	free(file->net.fields);
	free(file->lines);
	free(file->text);
	free(file);
	return is_ok;
}
