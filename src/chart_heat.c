/*
 * chart_heat.c - a table of shares as coloured cells, see chart.h.
 */
#include "postgres.h"

#include "chart.h"
#include "html.h"

#define NAME_WIDTH 100
#define COLUMN_HEIGHT 84		/* of the columns' names, which lean */
#define COLUMN_LENGTH 76		/* of such a name */
#define COLUMN_ANGLE 70			/* degrees */
#define RIGHT 26				/* where the last name leans to */
#define LARGEST_CELL 44
#define LARGEST_HEIGHT 30
#define ROOM_FOR_NUMBER 28		/* of a cell that shows its value */
#define LEAST_COLOR 0.05		/* of a cell: the table is seen where it is empty */
#define MOST_COLOR 0.75			/* so that numbers can be read in it */

static void
DrawCell(ChartPage *page, const HeatChart *chart, int row, int column, double x, double y, double width, double height)
{
	int			cell = row * chart->n_columns + column;
	float		value = chart->values[cell];

	appendStringInfo(page->html, "<rect class=\"cell\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
					 "fill-opacity=\"%.2f\"><title>", x, y, width - 1, height - 1,
					 Max(MOST_COLOR * value, LEAST_COLOR));
	HtmlFitted(page->html, chart->rows[row], HTML_NAME_WIDTH);
	appendStringInfoString(page->html, ", ");
	HtmlFitted(page->html, chart->columns[column], HTML_NAME_WIDTH);
	appendStringInfo(page->html, ": %.3f</title></rect>", value);
	if (chart->is_framed[cell])
		appendStringInfo(page->html, "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
						 x + 0.5, y + 0.5, width - 2, height - 2);
	if (width >= ROOM_FOR_NUMBER)
		ChartLabel(page, x + width / 2 - 0.5, y + height / 2 + 4, "m v", psprintf("%.2f", value));
	appendStringInfoChar(page->html, '\n');
}

void
ChartHeat(ChartPage *page, const HeatChart *chart)
{
	double		width = Min((CHART_WIDTH - NAME_WIDTH - RIGHT) / (double) chart->n_columns, LARGEST_CELL);
	double		height = Min(width, LARGEST_HEIGHT);

	ChartBegin(page, &chart->text, COLUMN_HEIGHT + chart->n_rows * height + 4);
	for (int column = 0; column < chart->n_columns; column++)
	{
		appendStringInfo(page->html, "<text class=\"name\" transform=\"translate(%.1f %d) rotate(-%d)\">",
						 NAME_WIDTH + (column + 0.5) * width + 3, COLUMN_HEIGHT - 6, COLUMN_ANGLE);
		HtmlFitted(page->html, chart->columns[column], (double) COLUMN_LENGTH / CHART_NAME_SIZE);
		appendStringInfoString(page->html, "</text>\n");
	}
	for (int row = 0; row < chart->n_rows; row++)
	{
		double		y = COLUMN_HEIGHT + row * height;

		ChartName(page, NAME_WIDTH - 6, y + height / 2 + 4, "e name", chart->rows[row], NAME_WIDTH - 8);
		for (int column = 0; column < chart->n_columns; column++)
			DrawCell(page, chart, row, column, NAME_WIDTH + column * width, y, width, height);
	}
	ChartEnd(page);
}
