// What the page says, in the browser's language. Sentences about failures come from the service, in the same language.
const words = {
  en: {
    skip: 'Go to the seats', eyebrow: 'Reservations', headline: 'Choose a seat. It is yours while you decide.',
    connecting: 'Connecting', live: 'Live',
    lost: 'No connection, trying again', messages: 'Messages', stage: 'Stage',
    mapHelp: 'Arrow keys move between seats, Enter holds one.',
    free: 'free', heldByOthers: 'held by others', yours: 'yours', sold: 'sold', held: 'held', available: 'available',
    pending: 'being held', seat: s => `Seat ${s}`, booked: 'booked',
    seatsLeft: (free, all, held) => `${free} of ${all} free` + (held ? `, ${held} held at the moment` : ''),
    strategy: 'Strategy', holdsTitle: 'Your reservations',
    holdsEmpty: 'Nothing yet. What you choose is held for you here, with the time that is left.',
    hold: 'Hold', confirm: 'Confirm', extend: 'More time', release: 'Release', fewer: 'Fewer', more: 'More',
    dismiss: 'Close', again: 'Again', tryNow: 'Try now', holdAgain: s => `Hold ${s} again`,
    lineTitle: 'Your place in the line', lining: 'Lining up', ahead: n => `${n} ahead of you`, youAreNext: 'You are next',
    lineProgress: 'How far the line has come', noEstimate: 'How long it takes is not known yet.',
    underAMinute: 'Probably less than a minute.', minutes: (likely, late) => likely >= late ? `About ${late} min.` : `About ${likely} to ${late} min.`,
    mayClose: time => `You may close this tab until ${time}. Your place is kept.`, updated: s => s < 2 ? 'Updated just now' : `Updated ${s} s ago`,
    lineLost: s => `No connection, trying again. Updated ${s} s ago`, leaveLine: 'Leave the line', toLine: 'See your place',
    leftLine: s => `You left the line for ${s}. Nothing was reserved.`, lineUpAgain: 'Line up again', inLine: s => `You are in line for ${s}.`,
    left: 'left', of: n => `of ${n} left`, heldNow: n => n === 1 ? '1 is held by somebody at the moment and may become free.' : `${n} are held at the moment and may become free.`,
    allSold: 'Sold out.', plenty: 'Nothing is held back.', reservedLeft: t => `${t} left`,
    confirmed: s => `${s} is yours. It is booked.`, heldFor: (s, t) => `${s} is held for you for ${t}.`,
    released: s => `${s} was released.`, expired: s => `The time for ${s} ran out, and it was released. You were not charged.`,
    soon: s => `One minute left for ${s}.`, extended: (s, t) => `${s} is held for ${t} more.`,
    offline: s => `No answer for ${s}. Your request is kept under its number and sent again, so nothing is reserved twice.`,
    instead: s => `Take ${s} instead`, chooseAnother: 'Choose another seat', waitFor: t => `Wait for it (${t})`,
    waiting: (s, t) => `Waiting for ${s}: the first hold of somebody else ends in ${t}.`, stop: 'Stop waiting',
    lookAgain: 'Look again', toHolds: 'See your reservations', reload: 'Reload the page', takeLeft: n => `Hold ${n}`,
    foot: 'Held seats are released by themselves when their time is up. Nothing is ever sold twice.',
    operatorTitle: 'Operator', tokenTitle: 'Who is there?', token: 'Token', enter: 'Enter', figures: 'Figures',
    tokenHelp: 'The service prints the operator’s token when it starts, or was given one with --admin-token.',
    wrongToken: 'This token is not the one. Look at what the service printed.', noAdmin: 'Administration is off: start the service with --admin-token.',
    invariants: 'invariants', allHold: 'All hold', broken: n => `${n} broken`, checked: (b, r) => `invariants; ${b} buckets, ${r} reservations`,
    staleFences: 'stale fences refused', retries: 'claims made again', listeners: 'pages watching', items: 'Items', item: 'Item',
    stock: 'Sold, held, available', refused: 'Refused', stale: 'Stale', stockText: (s, h, a) => `${s} sold, ${h} held, ${a} available`,
    rush: 'Rush', rushHelp: 'Virtual buyers who all want the same item, over HTTP. Whatever the strategy, nothing may be oversold.',
    units: 'Units', buyers: 'Buyers', seconds: 'Seconds', startRush: 'Start a rush',
    rushRunning: r => `${r.elapsedSeconds} s: ${r.arrived} of ${r.buyers} buyers came, ${r.confirmed} confirmed, ${r.soldOut} sold out, ${r.waiting} waiting`,
    rushDone: 'Done.', rushFailed: r => `The rush failed: ${r}`,
    results: { oversell: 'oversell', lost: 'lost', duplicates: 'duplicates', findings: 'invariants broken', confirmed: 'confirmed', onSale: 'on sale', soldOut: 'told: sold out', gaveUp: 'gave up', retries: 'tried again', acceptedP99: 'accept p99, ms', rejectedP99: 'reject p99, ms' },
  },
  ko: {
    skip: '좌석으로 이동', eyebrow: '예약', headline: '좌석을 고르세요. 결정하는 동안 맡아 드립니다.',
    connecting: '연결 중', live: '실시간',
    lost: '연결이 끊겨 다시 시도하고 있습니다', messages: '알림', stage: '무대',
    mapHelp: '화살표 키로 좌석을 옮기고 Enter 키로 맡아 둡니다.',
    free: '빈 좌석', heldByOthers: '다른 분이 고르는 중', yours: '내 좌석', sold: '판매됨', held: '예약 중', available: '남음',
    pending: '맡는 중', seat: s => `${s} 좌석`, booked: '예매 완료',
    seatsLeft: (free, all, held) => `${all}석 중 ${free}석 남음` + (held ? `, 지금 ${held}석은 다른 분이 고르는 중` : ''),
    strategy: '전략', holdsTitle: '내 예약',
    holdsEmpty: '아직 없습니다. 고르신 것은 남은 시간과 함께 여기에 표시됩니다.',
    hold: '맡아 두기', confirm: '확정', extend: '시간 연장', release: '취소', fewer: '수량 줄이기', more: '수량 늘리기',
    dismiss: '닫기', again: '재시도', tryNow: '지금 다시 시도', holdAgain: s => `${s} 다시 맡기`,
    lineTitle: '대기 순서', lining: '줄을 서는 중', ahead: n => `앞에 ${n}명`, youAreNext: '다음 차례입니다',
    lineProgress: '대기 진행 상황', noEstimate: '예상 시간을 아직 알 수 없습니다.',
    underAMinute: '1분 안에 차례가 올 것 같습니다.', minutes: (likely, late) => likely >= late ? `약 ${late}분` : `약 ${likely}~${late}분`,
    mayClose: time => `${time}까지는 이 탭을 닫아도 순서가 유지됩니다.`, updated: s => s < 2 ? '방금 업데이트됨' : `${s}초 전 업데이트`,
    lineLost: s => `연결이 끊겨 다시 시도하고 있습니다. ${s}초 전 업데이트`, leaveLine: '대기 취소', toLine: '대기 순서 보기',
    leftLine: s => `${s}: 대기열에서 나오셨습니다. 예약된 내용은 없습니다.`, lineUpAgain: '다시 줄 서기', inLine: s => `${s}: 대기열에 들어갔습니다.`,
    left: '남음', of: n => `/ ${n}개 남음`, heldNow: n => `지금 ${n}개를 다른 분이 고르는 중이라 다시 나올 수 있습니다.`,
    allSold: '모두 판매되었습니다.', plenty: '따로 빼 둔 수량은 없습니다.', reservedLeft: t => `${t} 남음`,
    confirmed: s => `${s} 예매가 완료되었습니다.`, heldFor: (s, t) => `${s}: ${t} 동안 맡아 드립니다.`,
    released: s => `${s} 예약을 취소했습니다.`, expired: s => `${s}: 시간이 지나 예약이 풀렸습니다. 결제된 금액은 없습니다.`,
    soon: s => `${s}: 1분 남았습니다.`, extended: (s, t) => `${s}: ${t} 더 맡아 드립니다.`,
    offline: s => `${s}: 응답이 없습니다. 같은 번호로 다시 보내므로 두 번 예약되지 않습니다.`,
    instead: s => `${s} 좌석으로 하기`, chooseAnother: '다른 좌석 고르기', waitFor: t => `기다리기 (${t})`,
    waiting: (s, t) => `${s} 기다리는 중: 빠르면 ${t} 뒤에 나옵니다.`, stop: '그만 기다리기',
    lookAgain: '다시 보기', toHolds: '내 예약 보기', reload: '새로 고침', takeLeft: n => `${n}개 맡아 두기`,
    foot: '맡아 둔 좌석은 시간이 지나면 저절로 풀립니다. 같은 좌석이 두 번 팔리는 일은 없습니다.',
    operatorTitle: '운영', tokenTitle: '운영자 확인', token: '토큰', enter: '들어가기', figures: '지표',
    tokenHelp: '운영자 토큰은 서비스를 시작할 때 표시되거나 --admin-token으로 정한 값입니다.',
    wrongToken: '토큰이 다릅니다. 서비스가 표시한 값을 확인해 주세요.', noAdmin: '운영 기능이 꺼져 있습니다. --admin-token과 함께 시작해 주세요.',
    invariants: '불변 조건', allHold: '모두 정상', broken: n => `${n}건 위반`, checked: (b, r) => `불변 조건: 버킷 ${b}개, 예약 ${r}건 검사`,
    staleFences: '거부된 오래된 펜스', retries: '다시 시도한 요청', listeners: '보고 있는 페이지', items: '상품', item: '상품',
    stock: '판매, 예약 중, 남음', refused: '거절', stale: '펜스', stockText: (s, h, a) => `판매 ${s}, 예약 중 ${h}, 남음 ${a}`,
    rush: '동시 접속 시연', rushHelp: '가상 구매자들이 같은 상품을 HTTP로 동시에 요청합니다. 어떤 전략에서도 초과 판매는 없어야 합니다.',
    units: '수량', buyers: '구매자', seconds: '초', startRush: '시연 시작',
    rushRunning: r => `${r.elapsedSeconds}초: 구매자 ${r.buyers}명 중 ${r.arrived}명 도착, 확정 ${r.confirmed}, 매진 안내 ${r.soldOut}, 대기 ${r.waiting}`,
    rushDone: '끝났습니다.', rushFailed: r => `시연 실패: ${r}`,
    results: { oversell: '초과 판매', lost: '유실', duplicates: '중복', findings: '불변 조건 위반', confirmed: '확정', onSale: '판매 수량', soldOut: '매진 안내', gaveUp: '포기', retries: '재시도', acceptedP99: '승인 p99, ms', rejectedP99: '거절 p99, ms' },
  },
};

const wanted = (navigator.languages ?? [navigator.language]).map(tag => tag.toLowerCase().split('-')[0]);
export const language = wanted.find(tag => tag in words) ?? 'en';
export const t = words[language];

/** Puts the words into the page. */
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = t[element.dataset.t];
  for (const element of document.querySelectorAll('[data-label]')) element.setAttribute('aria-label', t[element.dataset.label]);
}

/** 2:05 */
export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
