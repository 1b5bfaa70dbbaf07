/*
 * test_golden.c - the golden files of the independent implementation; files of
 * other shapes from a naive one; and files that must be refused.
 *
 * Runs from the repository's root, as make does.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define GOLDEN_FOLDER "test/golden"

static char folder[256];		/* a temporary one */

/* ---------------------------------------------------------------- our files */

static void
test_stored_files(void)
{
	struct dirent *entry;
	DIR		   *directory = opendir(GOLDEN_FOLDER);
	int			n_files = 0;

	if (!unit_check(directory != NULL, "no folder %s", GOLDEN_FOLDER))
		return;
	while ((entry = readdir(directory)) != NULL)
	{
		char		path[512];

		if (strstr(entry->d_name, ".txt") == NULL)
			continue;
		snprintf(path, sizeof(path), GOLDEN_FOLDER "/%s", entry->d_name);
		unit_check(golden_check_file(path), "%s is not read to its end", path);
		n_files++;
	}
	closedir(directory);
	unit_check(n_files >= 4, "only %d golden files", n_files);
}

/* ------------------------------------------------------------- other shapes */

/* Each is for all backbones, which take of it what they have. */
static const naive_spec shapes[] = {
	/* seven features, every kind, one vector as it is: its width is dim; the last list of maps is odd */
	{
		.dim = 3,.n_layers = 2,.hidden = {5, 4},.lora_reduce = 2,.n_rows = 9,.n_domains = 3,.n_experts = 3,
		.cross_layers = 2,.attention_layers = 1,.attention_heads = 1,.attention_dim = 3,.n_cin = 2,.cin = {6, 5},
		.n_fields = 7,.seed = 1,
		.fields = {
			{MML_NUMERIC, 1, false}, {MML_MULTI, 5, false}, {MML_VECTOR, 3, false}, {MML_CATEGORICAL, 4, false},
			{MML_NUMERIC, 1, false}, {MML_VECTOR, 7, true}, {MML_MULTI, 3, false}
		}
	},
	/* one feature, one layer, much interaction */
	{
		.dim = 4,.n_layers = 1,.hidden = {5},.lora_reduce = 1,.n_rows = 8,.n_domains = 2,.n_experts = 2,
		.cross_layers = 4,.attention_layers = 2,.attention_heads = 3,.attention_dim = 5,.n_cin = 3,.cin = {4, 6, 2},
		.n_fields = 1,.seed = 7,.fields = {{MML_CATEGORICAL, 6, false}}
	},
	/* four layers, ranks of 1, little interaction */
	{
		.dim = 2,.n_layers = 4,.hidden = {8, 7, 6, 5},.lora_reduce = 100,.n_rows = 10,.n_domains = 2,.n_experts = 2,
		.cross_layers = 1,.attention_layers = 1,.attention_heads = 2,.attention_dim = 1,.n_cin = 1,.cin = {4},
		.n_fields = 2,.seed = 3,.fields = {{MML_MULTI, 4, false}, {MML_NUMERIC, 1, false}}
	},
	/* two experts a domain; more domains than rows meet */
	{
		.dim = 3,.n_layers = 2,.hidden = {5, 4},.lora_reduce = 2,.n_rows = 4,.n_domains = 6,.n_experts = 12,
		.cross_layers = 3,.attention_layers = 3,.attention_heads = 2,.attention_dim = 2,.n_cin = 2,.cin = {2, 3},
		.n_fields = 2,.seed = 4,.fields = {{MML_VECTOR, 3, false}, {MML_VECTOR, 2, true}}
	},
	/* one row: seven of eight slices are empty; more pairs of fields than one job takes */
	{
		.dim = 1,.n_layers = 3,.hidden = {4, 3, 2},.lora_reduce = 2,.n_rows = 1,.n_domains = 3,.n_experts = 3,
		.cross_layers = 1,.attention_layers = 2,.attention_heads = 1,.attention_dim = 1,.n_cin = 2,.cin = {2, 1},
		.n_fields = 8,.seed = 12,
		.fields = {
			{MML_NUMERIC, 1, false}, {MML_CATEGORICAL, 3, false}, {MML_VECTOR, 1, false}, {MML_MULTI, 3, false},
			{MML_CATEGORICAL, 2, false}, {MML_VECTOR, 2, true}, {MML_NUMERIC, 1, false}, {MML_CATEGORICAL, 4, false}
		}
	},
	/* one more than what vector instructions take at a time; two experts for the only domain, two rows in a slice */
	{
		.dim = 9,.n_layers = 1,.hidden = {17},.lora_reduce = 3,.n_rows = 9,.n_domains = 1,.n_experts = 2,
		.cross_layers = 2,.attention_layers = 1,.attention_heads = 1,.attention_dim = 9,.n_cin = 2,.cin = {18, 9},
		.n_fields = 2,.seed = 8,.fields = {{MML_CATEGORICAL, 5, false}, {MML_VECTOR, 8, true}}
	},
	/* one domain, one expert: its gate can only be 1; heads that need no padding */
	{
		.dim = 2,.n_layers = 1,.hidden = {3},.lora_reduce = 2,.n_rows = 17,.n_domains = 1,.n_experts = 1,
		.cross_layers = 2,.attention_layers = 1,.attention_heads = 2,.attention_dim = 8,.n_cin = 1,.cin = {1},
		.n_fields = 1,.seed = 7,.fields = {{MML_MULTI, 2, false}}
	},
};

#define N_SHAPES ((int) (sizeof(shapes) / sizeof(shapes[0])))

static void
test_other_shapes(void)
{
	for (int backbone = 0; backbone < mml_backbones(); backbone++)
		for (int i = 0; i < N_SHAPES; i++)
		{
			naive_spec	spec = shapes[i];
			char		path[300];

			spec.backbone = mml_backbone_name(backbone);
			snprintf(path, sizeof(path), "%s/%s%d.txt", folder, spec.backbone, i);
			unit_check(naive_write_golden(&spec, path), "shape %d is no good for %s", i, spec.backbone);
			unit_check(golden_check_file(path), "%s is not read to its end", path);
			(void) remove(path);
		}
}

/* ----------------------------------------------------------- files to refuse */

static char *
read_text(const char *path)
{
	FILE	   *from = fopen(path, "rb");
	char	   *text = calloc(1, 1 << 20);
	size_t		n;

	if (from == NULL)
		return text;
	n = fread(text, 1, (1 << 20) - 1, from);
	text[n] = '\0';
	fclose(from);
	return text;
}

static void
write_text(const char *path, const char *text, size_t n)
{
	FILE	   *to = fopen(path, "wb");

	if (to == NULL)
		return;
	fwrite(text, 1, n, to);
	fclose(to);
}

/* The golden file of a shape; the caller frees it. */
static char *
text_of(int shape, const char *backbone)
{
	naive_spec	spec = shapes[shape];
	char		path[300];
	char	   *text;

	spec.backbone = backbone;
	snprintf(path, sizeof(path), "%s/good.txt", folder);
	(void) naive_write_golden(&spec, path);
	text = read_text(path);
	(void) remove(path);
	return text;
}

/* The file with the first `from` replaced must fail, with `says` in the first complaint. */
static void
check_refused(const char *text, const char *from, const char *to, const char *says)
{
	const char *found = strstr(text, from);
	char	   *changed = calloc(1, strlen(text) + strlen(to) + 1);
	char		path[300];
	char		complaint[512];
	long		n_failed;

	if (!unit_check(found != NULL, "nothing like \"%s\" in the file", from))
	{
		free(changed);
		return;
	}
	memcpy(changed, text, (size_t) (found - text));
	strcat(changed, to);
	strcat(changed, found + strlen(from));
	snprintf(path, sizeof(path), "%s/changed.txt", folder);
	write_text(path, changed, strlen(changed));
	unit_expect_begin();
	(void) golden_check_file(path);
	n_failed = unit_expect_end(complaint, sizeof(complaint));
	unit_check(n_failed > 0, "\"%s\" instead of \"%s\" is not noticed", to, from);
	unit_check(strstr(complaint, says) != NULL, "\"%s\" instead of \"%s\": says \"%s\", not \"%s\"",
			   to, from, complaint, says);
	(void) remove(path);
	free(changed);
}

/* Cut after any number of bytes, the file must fail, and not read as something else. */
static void
check_truncation(const char *text)
{
	size_t		length = strlen(text);
	char		path[300];
	char		complaint[512];
	size_t		n_taken = 0;

	snprintf(path, sizeof(path), "%s/cut.txt", folder);
	for (size_t n = 0; n < length - 1; n += n < 2000 ? 97 : 1999)
	{
		write_text(path, text, n);
		unit_expect_begin();
		(void) golden_check_file(path);
		n_taken += unit_expect_end(complaint, sizeof(complaint)) == 0;
	}
	unit_check(n_taken == 0, "%zu truncated files are taken for whole", n_taken);
	(void) remove(path);
}

static void
test_refusals(void)
{
	char		path[300];
	char		complaint[512];
	char	   *text = text_of(0, "wdl");

	check_refused(text, "backbone wdl", "backbone none", "backbone");
	check_refused(text, "moemlora-golden 1", "moemlora-golden 2", "format 1");
	check_refused(text, "lora_reduce 2", "lora_induce 2", "unknown key");
	check_refused(text, "dim 3", "dim x", "embedding_dim");
	check_refused(text, "hidden 5 4", "hidden 5", "tower.1.weight");
	check_refused(text, "categorical 4", "ordinal 4", "unknown kind");
	check_refused(text, "experts 3", "experts 4", "experts");
	check_refused(text, "rows 9", "rows 10", "number of labels");
	check_refused(text, "input f3 ", "input f3 4 ", "number of values");
	check_refused(text, "input f6 ", "input g ", "input of unknown field");
	check_refused(text, "multi 3", "multi 1", "cannot take");
	check_refused(text, "tensor embedding.f0 1 3 ", "tensor embedding.f0 1 3 0 ", "shape");
	check_refused(text, "tensor projection.f5", "tensor projection.f9", "projection");
	check_refused(text, "tensor embedding.f0 1 3", "tensor embedding.f0 3 1", "shape");
	check_refused(text, "mode own", "mode owned", "unknown mode");
	check_refused(text, "loss 0", "loss 1", "loss");
	check_refused(text, "logit ", "logit 1", "logit");
	check_refused(text, "grad embedding.f0 1 3 ", "grad embedding.f0 1 3 1", "gradient of embedding.f0");
	check_truncation(text);
	free(text);
	snprintf(path, sizeof(path), "%s/nothing.txt", folder);
	unit_expect_begin();
	unit_check(!golden_check_file(path), "a file that is not there");
	unit_check(unit_expect_end(complaint, sizeof(complaint)) == 1, "a file that is not there: \"%s\"", complaint);
}

/* Sizes of the backbones that have some of their own. */
static void
test_refused_sizes(void)
{
	static const char *const cases[][4] = {
		{"dcn", "cross_layers 4", "cross_layers 3", "no such tensor: cross.3.weight"},
		{"dcn", "cross_layers 4", "cross_layers 5", "lacks a tensor"},
		{"dcn", "cross_layers 4", "cross_sizes 4", "unknown key"},
		{"autoint", "attention_layers 2", "attention_layers 1", "no such tensor: attention.1.query"},
		{"autoint", "attention_layers 2", "attention_layers 3", "lacks a tensor"},
		{"autoint", "attention_heads 3", "attention_heads 2", "other shape than ours: attention.0.query"},
		{"autoint", "attention_dim 5", "attention_dim 6", "other shape than ours: attention.0.query"},
		{"autoint", "attention.1.residual 15 15", "attention.1.residue 15 15", "no such tensor: attention.1.residue"},
		{"xdeepfm", "cin 4 6 2", "cin 4 6", "no such tensor: cin.2.filter"},
		{"xdeepfm", "cin 4 6 2", "cin 6 4 2", "other shape than ours: cin.0.filter"},
		{"xdeepfm", "cin 4 6 2", "cin 4 5 2", "must be even"},
		{"fibinet", "senet.squeeze 2 1", "senet.squeeze 1 2", "other shape than ours: senet.squeeze"},
		{"fibinet", "bilinear.raw 4 4", "bilinear.rare 4 4", "no such tensor: bilinear.rare"},
	};

	char	   *text = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		if (i == 0 || strcmp(cases[i][0], cases[i - 1][0]) != 0)
		{
			free(text);
			text = text_of(1, cases[i][0]);
		}
		check_refused(text, cases[i][1], cases[i][2], cases[i][3]);
	}
	free(text);
}

int
main(void)
{
	const char *where = getenv("TMPDIR");

	mml_init();
	snprintf(folder, sizeof(folder), "%s/moemlora_golden_XXXXXX", where == NULL ? "/tmp" : where);
	if (!unit_check(mkdtemp(folder) != NULL, "no temporary folder"))
		return unit_done();
	test_stored_files();
	test_other_shapes();
	test_refusals();
	test_refused_sizes();
	(void) rmdir(folder);
	return unit_done();
}
