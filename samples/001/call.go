// System 001: asks for a two-way call, takes its states and its record, and looks the record up.
//
//	MERCHANT_SID=... MERCHANT_TOKEN=... MERCHANT_APPID=... MERCHANT_SRC=13800138000 MERCHANT_DST=13900139000 \
//	go run call.go
//
// The app's callback address at the switch has to lead to MERCHANT_LISTEN of this machine.
// Go 1.18 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.
package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

var (
	tandem = setting("MERCHANT_URL", "http://127.0.0.1:8080")
	sid    = setting("MERCHANT_SID", "your-account-sid")
	token  = setting("MERCHANT_TOKEN", "your-auth-token")
	appid  = setting("MERCHANT_APPID", "your-appid")
	// Who is rung first, and who then.
	src    = setting("MERCHANT_SRC", "13800138000")
	dst    = setting("MERCHANT_DST", "13900139000")
	listen = setting("MERCHANT_LISTEN", "0.0.0.0:8000")
)

const patience = 10 * time.Minute

// A record as it is pushed: all strings.
type pushed struct {
	RequestID string `json:"requestid"`
	AppID     string `json:"appid"`
	Caller    string `json:"caller"`
	Called    string `json:"called"`
	Duration  string `json:"duration"`
	Amount    string `json:"oriamount"`
	Tape      string `json:"tapesurl"`
	State     string `json:"stateDesc"`
}

// A record as it is told when asked for: numbers are numbers.
type told struct {
	RequestID string      `json:"requestid"`
	Caller    string      `json:"caller"`
	Called    string      `json:"called"`
	Duration  json.Number `json:"duration"`
	Amount    json.Number `json:"oriamount"`
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func stop(format string, words ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

// ask sends one signed request and reads the answer into a place of yours.
func ask(function string, body map[string]interface{}, answer interface{}) {
	// Beijing time, and one instant for both: header and Sign have to agree.
	timestamp := time.Now().In(time.FixedZone("Beijing", 8*3600)).Format("20060102150405")
	sign := md5.Sum([]byte(sid + token + timestamp))
	address := fmt.Sprintf("%s/201512/sid/%s/%s?Sign=%X", tandem, sid, function, sign)
	body["appid"] = appid
	text, err := json.Marshal(body)
	if err != nil {
		stop("not written: %v", err)
	}
	request, err := http.NewRequest("POST", address, bytes.NewReader(text))
	if err != nil {
		stop("not an address: %v", err)
	}
	bearer := base64.StdEncoding.EncodeToString([]byte(sid + "|" + timestamp))
	request.Header.Set("Authorization", bearer)
	request.Header.Set("Content-Type", "application/json;charset=utf-8")
	client := http.Client{Timeout: 15 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		stop("not reached: %v", err)
	}
	defer response.Body.Close()
	var all json.RawMessage
	var status struct{ StatusCode, StatusMsg string }
	if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
		stop("no JSON: %v", err)
	}
	// Lists of records and balances come without a statusCode.
	if json.Unmarshal(all, &status) != nil || (status.StatusCode != "" && status.StatusCode != "0") {
		stop("refused: %s %s", status.StatusCode, status.StatusMsg)
	}
	if err := json.Unmarshal(all, answer); err != nil {
		stop("not understood: %v: %s", err, all)
	}
}

func same(a string, b json.Number) bool {
	x, bad := strconv.ParseFloat(a, 64)
	y, worse := b.Float64()
	return bad == nil && worse == nil && x == y
}

func main() {
	records := make(chan pushed, 100)
	// Where states and records arrive, each as a POST. 2xx: taken. 500: send it again later.
	receive := func(w http.ResponseWriter, r *http.Request) {
		var push struct {
			Cdr        []pushed `json:"cdr"`
			Dsc, State string
		}
		err := json.NewDecoder(r.Body).Decode(&push)
		switch {
		case err == nil && len(push.Cdr) > 0:
			w.WriteHeader(200)
			records <- push.Cdr[0]
		case err == nil && push.State != "":
			fmt.Println("state:", push.Dsc, push.State)
		default:
			w.WriteHeader(500)
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		stop("cannot listen: %v", err)
	}
	go http.Serve(listener, http.HandlerFunc(receive))

	var answer struct{ RequestID string }
	ask("call/DailbackCall.wx", map[string]interface{}{
		"action": "callDailBack", "src": src, "dst": dst, "customParm": "from Go",
	}, &answer)
	fmt.Println("asked:", answer.RequestID)

	var cdr pushed
	deadline := time.After(patience)
	// Records of other calls come here too, and each may come twice.
	for cdr.RequestID != answer.RequestID || cdr.AppID != appid {
		select {
		case cdr = <-records:
		case <-deadline:
			stop("no record came: can the switch reach the app's callback address?")
		}
	}
	fmt.Printf("record: %s, %s s for %s, %s\n", cdr.State, cdr.Duration, cdr.Amount, cdr.Tape)

	// A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
	var found struct {
		Cdr []told `json:"cdr"`
	}
	ask("call/CallCdr.wx", map[string]interface{}{
		"action": "getCdrByResId", "fid": "4", "lastresid": answer.RequestID, "limit": 0,
	}, &found)
	if len(found.Cdr) != 1 || found.Cdr[0].RequestID != cdr.RequestID ||
		found.Cdr[0].Caller != cdr.Caller || found.Cdr[0].Called != cdr.Called ||
		!same(cdr.Duration, found.Cdr[0].Duration) || !same(cdr.Amount, found.Cdr[0].Amount) {
		stop("the pushed record is not what the switch has: %v", found.Cdr)
	}
	fmt.Println("checked: the switch has the same record")

	var balance struct{ Blance json.Number }
	ask("account/getBlance.wx", map[string]interface{}{"action": "queryBlance"}, &balance)
	fmt.Println("balance:", balance.Blance)
}
