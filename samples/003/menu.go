// System 003: the page of a menu. Whoever dials the code chooses a drink and how many, pays by a link, and is served
// once.
//
//	MERCHANT_USERNAME=... MERCHANT_PASSWORD=... MERCHANT_CODE='*6655*123#' go run menu.go
//
// The code's page at the switch has to lead to MERCHANT_LISTEN of this machine, by any path.
// Nothing signs a visit: let the switch's address alone reach it.
// Go 1.18 or later, nothing else. It runs until it is ended.
package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

var (
	home = setting("MERCHANT_URL", "http://127.0.0.1:8080")
	// Who may ask what was paid: an owner's name and password ([[ussd_owners]]).
	username = setting("MERCHANT_USERNAME", "your-name")
	password = setting("MERCHANT_PASSWORD", "your-password")
	code     = strings.Trim(setting("MERCHANT_CODE", "*6655*123#"), "*#")
	listen   = setting("MERCHANT_LISTEN", "0.0.0.0:8000")
	// Where orders are kept: a folder. In a shop of your own this is a table whose key is the order.
	folder = setting("MERCHANT_ORDERS", "orders")
)

type drink struct {
	name  string
	rials int64
}

var drinks = map[string]drink{"1": {"tea", 50000}, "2": {"coffee", 80000}}

var (
	oneToNine = regexp.MustCompile(`^[1-9]$`)
	// A session names an order, and that a file.
	names  = regexp.MustCompile(`^[A-Za-z0-9-]{1,50}$`)
	client = http.Client{Timeout: 10 * time.Second}
	book   sync.Mutex
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// keep writes a file once and whole, and says whether this was the time; how often it is asked to does not matter.
func keep(name, text string) (bool, error) {
	book.Lock()
	defer book.Unlock()
	file := filepath.Join(folder, name)
	if _, err := os.Stat(file); err == nil {
		return false, nil
	}
	if err := os.WriteFile(file+".new", []byte(text), 0600); err != nil {
		return false, err
	}
	return true, os.Rename(file+".new", file)
}

// An order as it is kept: who wants what, for how much.
type order struct {
	Mobile string
	Rials  int64
	What   string
}

func find(factor string) (found order, err error) {
	if !names.MatchString(factor) {
		return found, os.ErrNotExist
	}
	text, err := os.ReadFile(filepath.Join(folder, factor+".order"))
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	return found, err
}

// screen is what is seen. A text: something may be typed; [end] behind it: that was all; 9900|order|rials: a link to
// pay by.
func screen(inputs []string, session, mobile string) (string, error) {
	if len(inputs) == 0 {
		return "Tea house\n1-Tea 50,000 rials\n2-Coffee 80,000 rials\n0-Nothing", nil
	}
	if inputs[0] == "0" {
		return "Good bye[end]", nil
	}
	chosen, there := drinks[inputs[0]]
	if !there {
		return "We have no such drink[end]", nil
	}
	if len(inputs) == 1 {
		return "How many of " + chosen.name + ", 1 to 9?", nil
	}
	if len(inputs) > 2 || !oneToNine.MatchString(inputs[1]) {
		return "That is no number from 1 to 9[end]", nil
	}
	count := int64(inputs[1][0] - '0')
	text, _ := json.Marshal(order{mobile, count * chosen.rials, inputs[1] + " " + chosen.name})
	// The session names the order: a step that is visited again has the same one paid.
	if _, err := keep(session+".order", string(text)); err != nil {
		return "", err
	}
	kept, err := find(session)
	if err != nil {
		return "", err
	}
	fmt.Printf("order %s: %s, %d rials\n", session, kept.What, kept.Rials)
	return fmt.Sprintf("9900|%s|%d", session, kept.Rials), nil
}

// What the switch has of a payment. Names are read in any case, for they are spelt in two ways.
type payment struct {
	Result        string
	Price         float64
	YourFactorID  string
	InotiFactorID json.Number
}

type field struct{ name, value string }

func getPayments(fields ...field) (payments []payment, err error) {
	var body bytes.Buffer
	body.WriteString(`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>` +
		`<GetPayments xmlns="http://tempuri.org/">`)
	fields = append([]field{
		{"Username", username}, {"Password", password}, {"CodeName", code}, {"IsAll", "false"},
	}, fields...)
	for _, one := range fields {
		fmt.Fprintf(&body, "<%s>", one.name)
		xml.EscapeText(&body, []byte(one.value))
		fmt.Fprintf(&body, "</%s>", one.name)
	}
	body.WriteString(`</GetPayments></soap:Body></soap:Envelope>`)
	request, err := http.NewRequest("POST", home+"/_services/ExternalUssdPay.asmx", &body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/xml; charset=utf-8")
	request.Header.Set("SOAPAction", `"http://tempuri.org/GetPayments"`)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return nil, fmt.Errorf("the switch says %s", response.Status)
	}
	var answer struct {
		Result *string `xml:"Body>GetPaymentsResponse>GetPaymentsResult"`
	}
	if err := xml.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Result == nil {
		return nil, fmt.Errorf("not understood: %v", err)
	}
	// Nothing found may be [], null or no text at all; anything else that is no JSON is a refusal.
	if *answer.Result == "" {
		return nil, nil
	}
	if json.Unmarshal([]byte(*answer.Result), &payments) != nil {
		return nil, fmt.Errorf("refused: %s", *answer.Result)
	}
	return payments, nil
}

// paid is told that an order is. 200 is said when it is booked; anything else, and the visit comes again.
func paid(inputs []string, session, mobile, rrn string) (int, string) {
	factor, invoice := inputs[len(inputs)-2], inputs[len(inputs)-1]
	wanted, err := find(factor)
	if err != nil || wanted.Mobile != mobile {
		return 404, "there is no order " + factor
	}
	if _, err := os.Stat(filepath.Join(folder, factor+".paid")); err == nil {
		return 200, "booked before"
	}
	// A visit proves nothing: what counts is what the switch says when asked.
	price := fmt.Sprint(wanted.Rials)
	payments, err := getPayments(field{"SessionID", session}, field{"Mobile", mobile}, field{"YourFactorID", factor},
		field{"iNotiFactorID", invoice}, field{"RRN", rrn}, field{"PriceFrom", price}, field{"PriceTo", price})
	if err != nil {
		return 503, fmt.Sprint("not asked whether it is paid: ", err)
	}
	for _, one := range payments {
		good := strings.EqualFold(one.Result, "true") && one.Price == float64(wanted.Rials)
		if !good || one.YourFactorID != factor || one.InotiFactorID.String() != invoice {
			continue
		}
		// Of visits that come at the same time one books.
		first, err := keep(factor+".paid", invoice+" "+rrn+"\n")
		if err != nil {
			return 503, fmt.Sprint("not booked: ", err)
		}
		if !first {
			return 200, "booked before"
		}
		fmt.Printf("paid: order %s, RRN %s: make %s\n", factor, rrn, wanted.What)
		return 200, "booked"
	}
	return 403, "order " + factor + " is not paid"
}

func visited(query map[string][]string) (int, string) {
	asked := map[string]string{}
	for name, values := range query {
		asked[strings.ToLower(name)] = values[0]
	}
	// With a star before the code or without, as the switch is set.
	call := strings.Trim(asked["call"], "*")
	session, mobile := asked["sessionid"], asked["mobile"]
	if !strings.HasPrefix(call+"*", code+"*") || !names.MatchString(session) || mobile == "" {
		return 400, "this is the page of a menu"
	}
	inputs := strings.Split(call, "*")[strings.Count(code, "*")+1:]
	rrn, told := asked["rrn"]
	if !told {
		text, err := screen(inputs, session, mobile)
		if err != nil {
			return 500, err.Error()
		}
		return 200, text
	}
	if len(inputs) < 2 {
		return 400, "which order?"
	}
	return paid(inputs, session, mobile, rrn)
}

func main() {
	if err := os.MkdirAll(folder, 0700); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	page := func(w http.ResponseWriter, r *http.Request) {
		status, text := visited(r.URL.Query())
		if status != 200 {
			fmt.Fprintln(os.Stderr, text)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(listen, http.HandlerFunc(page)))
	os.Exit(1)
}
