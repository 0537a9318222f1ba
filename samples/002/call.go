// System 002: has a notice played to somebody, takes states and the record, and looks the record up.
//
//	MERCHANT_APPID=... MERCHANT_ACCESSKEY=... MERCHANT_NUMBER=13800138000 MERCHANT_VOICEFILE=welcome.wav \
//	go run call.go
//
// The company's callback addresses at the switch have to lead to MERCHANT_LISTEN of this machine.
// Go 1.18 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

var (
	switchURL = setting("MERCHANT_URL", "http://127.0.0.1:8080")
	appid     = setting("MERCHANT_APPID", "your-appid")
	accesskey = setting("MERCHANT_ACCESSKEY", "your-accesskey")
	// Who is rung, what he hears, and where his keys lead: "1@extGroup-1", or nothing.
	number    = setting("MERCHANT_NUMBER", "13800138000")
	voicefile = setting("MERCHANT_VOICEFILE", "welcome.wav")
	menu      = setting("MERCHANT_MENU", "")
	listen    = setting("MERCHANT_LISTEN", "0.0.0.0:8000")
)

const (
	patience = 10 * time.Minute
	instant  = "2006-01-02 15:04:05"
)

// A record: what is pushed has these members, and so has a bill.
type record struct {
	UUID      string `json:"uuid"`
	Number    string `json:"destnumber"`
	Cause     int    `json:"hangupcause"`
	Direction int    `json:"hangupdirection"`
	Seconds   int    `json:"billsec"`
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

// ask sends one request and reads what came of it into a place of yours.
func ask(service string, fields map[string]string, result interface{}) {
	form := url.Values{"service": {service}}
	for name, value := range fields {
		form.Set(name, value)
	}
	client := http.Client{Timeout: 15 * time.Second}
	response, err := client.PostForm(switchURL+"/", form)
	if err != nil {
		stop("not reached: %v", err)
	}
	defer response.Body.Close()
	var answer struct {
		Ret  int             `json:"ret"`
		Msg  string          `json:"msg"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		stop("no JSON: %v", err)
	}
	// 600: the token has expired; log in again and ask once more.
	if answer.Ret != 200 {
		stop("refused: %d %s", answer.Ret, answer.Msg)
	}
	var data struct {
		Status int
		Result json.RawMessage
		Errors struct {
			Code    int
			CodeMsg string
		}
	}
	if err := json.Unmarshal(answer.Data, &data); err != nil {
		stop("not understood: %v: %s", err, answer.Data)
	}
	if data.Status != 0 {
		stop("refused: %d %s", data.Errors.Code, data.Errors.CodeMsg)
	}
	if err := json.Unmarshal(data.Result, result); err != nil {
		stop("not understood: %v: %s", err, data.Result)
	}
}

func main() {
	records := make(chan record, 100)
	// Where states and records arrive, each as a POST. Anything but 0 and fail: taken; else it comes again.
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var cdr record
		var state struct{ ExtNumber, Status string }
		switch {
		case json.Unmarshal(body, &cdr) == nil && cdr.Cause != 0:
			fmt.Fprint(w, "1")
			records <- cdr
		case json.Unmarshal(body, &state) == nil && state.Status != "":
			fmt.Println("state:", state.ExtNumber, state.Status)
			fmt.Fprint(w, "1")
		default:
			fmt.Fprint(w, "0")
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		stop("cannot listen: %v", err)
	}
	go http.Serve(listener, http.HandlerFunc(receive))

	// Good for twelve hours: keep it, and log in again when an answer says 600.
	var login struct{ Token string }
	ask("App.Sip_Auth.Login", map[string]string{"appid": appid, "accesskey": accesskey}, &login)
	lot := make([]byte, 16)
	if _, err := rand.Read(lot); err != nil {
		stop("no random bytes: %v", err)
	}
	name := hex.EncodeToString(lot)
	var call struct{ UUID string }
	ask("App.Sip_Call.PlayVoice", map[string]string{
		"token": login.Token, "destnumber": number, "voicetype": "1", "voicefile": voicefile,
		"chengshudu": "1", "userid": menu, "customuuid": name,
	}, &call)
	fmt.Println("asked:", call.UUID)

	var cdr record
	deadline := time.After(patience)
	// Records of other calls come here too, and each may come twice.
	for cdr.UUID != call.UUID {
		select {
		case cdr = <-records:
		case <-deadline:
			stop("no record came: can the switch reach the company's callback address?")
		}
	}
	fmt.Printf("record: %d by %d, %d s talked\n", cdr.Cause, cdr.Direction, cdr.Seconds)

	// A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
	beijing := time.Now().In(time.FixedZone("Beijing", 8*3600))
	var found struct{ Bills []record }
	ask("App.Sip_Cdr.GetBill", map[string]string{
		"token":     login.Token,
		"starttime": beijing.Add(-time.Hour).Format(instant),
		"endtime":   beijing.Add(time.Hour).Format(instant),
		"syncflag":  "3", "callmethod": "0", "customuuid": name,
	}, &found)
	if len(found.Bills) != 1 || found.Bills[0] != cdr {
		stop("the pushed record is not what the switch has: %v", found.Bills)
	}
	fmt.Println("checked: the switch has the same record")
}
