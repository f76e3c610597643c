package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"
)

// funcs are what templates may call beside html/template's own.
func (s *Site) funcs() template.FuncMap {
	return template.FuncMap{
		"url":     s.URL,
		"asset":   s.assetURL,
		"csrf":    func() string { return s.csrf },
		"control": s.Control,
		"static":  s.Static,
		"num":     num,
		"count":   count,
		"score":   score,
		"usd":     usd,
		"seconds": seconds,
		"hours":   func(h float64) string { return seconds(h * time.Hour.Seconds()) },
		"bytes":   byteSize,
		"percent": func(x float64) string { return strconv.FormatFloat(100*x, 'f', 0, 64) + " %" },
		"when":    when,
		"json":    dataBlock,
		"dict":    dict,
		"add":     func(a, b int) int { return a + b },
	}
}

// dict makes a map of names and values, to hand several to a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	out := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// dataBlock makes JSON for a <script type="application/json"> element, in which
// html/template would otherwise write a string.
func dataBlock(v any) (template.JS, error) {
	text, err := json.Marshal(v)  // escapes <, > and &
	return template.JS(text), err //nolint:gosec // JSON, in which no tag can end
}

// num writes a whole number with thin spaces between thousands.
func num(v any) string {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		return strconv.FormatUint(v, 10) // a seed, which is a name
	case float64:
		n = int64(math.Round(v))
	default:
		return fmt.Sprint(v)
	}
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return sign + digits
}

// count writes how many there are of what a word names, whose plural ends in s.
func count(v any, word string) string {
	n := num(v)
	if n != "1" {
		word += "s"
	}
	return n + " " + word
}

// number is what a number or a pointer to one says; false for nil and anything else.
func number(v any) (x float64, known bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case *float64:
		if v != nil {
			return *v, true
		}
	}
	return 0, false
}

// score writes a score with four significant digits; nil, or what is not finite, as
// a dash or its name.
func score(v any) string {
	x, known := number(v)
	if !known {
		if _, isPointer := v.(*float64); v == nil || isPointer {
			return "–"
		}
		return fmt.Sprint(v)
	}
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 0):
		return strconv.FormatFloat(x, 'g', -1, 64)
	case a != 0 && (a < 1e-4 || a >= 1e7):
		return strconv.FormatFloat(x, 'e', 3, 64)
	case a >= 1000:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
}

// usd writes a price; nil, which is one that nobody knows, as a dash.
func usd(v any) string {
	x, known := number(v)
	if !known {
		return "–"
	}
	if x != 0 && math.Abs(x) < 0.01 {
		return fmt.Sprintf("$%.4f", x)
	}
	return fmt.Sprintf("$%.2f", x)
}

// seconds writes a duration with the units that matter.
func seconds(v any) string {
	if d, ok := v.(time.Duration); ok {
		v = d.Seconds()
	}
	x, known := number(v)
	if !known {
		return "–"
	}
	switch d := time.Duration(x * float64(time.Second)); {
	case x < 0.0005:
		return "0 s"
	case x < 1:
		return fmt.Sprintf("%.0f ms", x*1000)
	case x < 10:
		return fmt.Sprintf("%.1f s", x)
	case x < 120:
		return fmt.Sprintf("%.0f s", x)
	case x < 3600:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case x < 48*3600:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// byteSize writes a size in units of 1000.
func byteSize(v any) string {
	var x float64
	switch v := v.(type) {
	case int:
		x = float64(v)
	case int64:
		x = float64(v)
	default:
		return fmt.Sprint(v)
	}
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		switch {
		case x < 1000 && unit == "B":
			return fmt.Sprintf("%.0f B", x)
		case x < 10:
			return fmt.Sprintf("%.1f %s", x, unit)
		case x < 1000:
			return fmt.Sprintf("%.0f %s", x, unit)
		}
		x /= 1000
	}
	return fmt.Sprintf("%.1f TB", x)
}

// when writes a moment in UTC as a time element; page/app.js shows it in the
// reader's zone.
func when(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04") + ` UTC</time>`) //nolint:gosec // digits
}

// Score writes a score as templates do: a float64, a pointer to one, or nil.
func Score(v any) string { return score(v) }

// USD writes a price as templates do: a float64, or a pointer to one.
func USD(v any) string { return usd(v) }

// Seconds writes a duration as templates do: seconds as a float64, or a pointer to
// them, or a time.Duration.
func Seconds(v any) string { return seconds(v) }
